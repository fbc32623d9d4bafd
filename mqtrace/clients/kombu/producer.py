"""kombu's Producer and SimpleQueue, traced where they send.

``publish`` has a dozen arguments that differ between versions, so they are passed on as they came; only ``headers`` is
replaced, by a copy. A producer of a pool is wrapped each time it is taken out, so its operation is shared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from mqtrace.clients.amqp import CONVERSATION, MESSAGE_ID, RABBITMQ, ROUTING_KEY, destination, with_context
from mqtrace.clients.proxy import Proxy
from mqtrace.core import SendSpan, Template, start_send
from mqtrace.messaging import Operation
from mqtrace.tracer import SpanTracer

from .facts import UNKNOWN, Broker, broker_of_connection
from .message import note_source

__all__ = ["TracedProducer", "TracedSimpleQueue"]

_sends: WeakKeyDictionary[SpanTracer, Operation] = WeakKeyDictionary()
_default: list[Operation] = []


def _operation(tracer: SpanTracer | None) -> Operation:
    """The send operation of a tracer, for all its producers."""
    if tracer is None:
        if not _default:
            _default.append(Operation("send"))
        return _default[0]
    made = _sends.get(tracer)
    if made is None:
        made = _sends[tracer] = Operation("send", tracer)
    return made


class _Sending(Proxy):
    """What a Producer and a SimpleQueue have in common."""

    _operation: Operation
    _broker: Broker | None

    def __init__(self, raw: Any, tracer: SpanTracer | None) -> None:
        self._operation = _operation(tracer)
        self._broker = None
        self._raw = raw

    def _send(self, producer: Any, call: Callable[..., Any], body: Any, named: dict[str, Any]) -> Any:
        """Call ``publish`` or ``put`` with these keyword arguments, in a send span."""
        operation = self._operation
        try:
            exchange = named.get("exchange") or producer.exchange
            exchange = getattr(exchange, "name", exchange) or ""
            routing_key = named.get("routing_key")
            if routing_key is None:
                routing_key = producer.routing_key or ""
            broker = self._broker
            if broker is None:
                broker = broker_of_connection(producer.connection)
                if broker is not UNKNOWN:
                    self._broker = broker
            template = operation.templates.get((exchange, routing_key, broker.key))
            if template is None:
                template = self._template(str(exchange), str(routing_key), broker)
            span = start_send(template)
            if span is not None:
                given = named.get("headers")
                headers = with_context(operation, span, given)
                if headers is not given:
                    named["headers"] = headers
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return call(body, **named)
        if type(span) is not SendSpan:
            return call(body, **named)
        ids = {MESSAGE_ID: named.get("message_id"), CONVERSATION: named.get("correlation_id")}
        if any(ids.values()):
            span.set_attributes({key: str(value) for key, value in ids.items() if value})
        try:
            result = call(body, **named)
        except BaseException as error:
            span.fail(error)
            span.end()
            raise
        span.end()
        return result

    def _template(self, exchange: str, routing_key: str, broker: Broker) -> Template:
        extra = {ROUTING_KEY: routing_key} if routing_key and broker.system == RABBITMQ else {}
        key = (exchange, routing_key, broker.key)
        return self._operation.make(key, broker.system, "send", destination(exchange, routing_key), broker.facts, extra)


class TracedProducer(_Sending):
    """kombu.Producer. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset({"_raw", "_operation", "_broker"})

    def publish(self, body: Any, routing_key: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``kombu.Producer.publish``: same arguments in the same order, same errors."""
        if args:
            names = list(inspect.signature(self._raw.publish).parameters)[2 : 2 + len(args)]
            if len(names) < len(args) or not kwargs.keys().isdisjoint(names):
                return self._raw.publish(body, routing_key, *args, **kwargs)  # which will say what is wrong
            kwargs.update(zip(names, args, strict=True))
        kwargs["routing_key"] = routing_key
        return self._send(self._raw, self._raw.publish, body, kwargs)

    def __enter__(self) -> TracedProducer:
        self._raw.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._raw.__exit__(*exception)


class TracedSimpleQueue(_Sending):
    """kombu.simple.SimpleQueue and SimpleBuffer. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset({"_raw", "_operation", "_broker"})

    def put(
        self,
        message: Any,
        serializer: Any = None,
        headers: Any = None,
        compression: Any = None,
        routing_key: Any = None,
        **kwargs: Any,
    ) -> Any:
        """``SimpleQueue.put``: same arguments in the same order, same errors."""
        kwargs.update(serializer=serializer, headers=headers, compression=compression, routing_key=routing_key)
        return self._send(self._raw.producer, self._raw.put, message, kwargs)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """``SimpleQueue.get``: a message, for ``mqtrace.process``."""
        return self._given(self._raw.get(block, timeout))

    def get_nowait(self) -> Any:
        """``SimpleQueue.get_nowait``: a message, for ``mqtrace.process``."""
        return self._given(self._raw.get_nowait())

    def _given(self, message: Any) -> Any:
        note_source(message, self._raw.queue.name, bool(self._raw.no_ack))
        return message

    def __enter__(self) -> TracedSimpleQueue:
        self._raw.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._raw.__exit__(*exception)
