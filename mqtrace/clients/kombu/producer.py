"""kombu's Producer and SimpleQueue, traced.

``publish`` has a dozen arguments that differ between versions, so they are passed on as they came; only ``headers`` is
replaced, by a copy. A producer of a pool is wrapped each time it is taken out, so all producers share an operation.

A connection with alternates may fail over before or within a call. Its ``hostname`` is then a new string, so a failover
is detected by comparing identities, which costs next to nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from kombu.simple import SimpleBase

from mqtrace.clients.proxy import State, Traced
from mqtrace.core import DescribedSend, SendSpan, start_send
from mqtrace.messaging import Operation, as_text, end
from mqtrace.messaging.amqp import template_of, with_context
from mqtrace.messaging.attributes import CONVERSATION, MESSAGE_ID, SERVER_ADDRESS, SERVER_PORT, SYSTEM
from mqtrace.messaging.operation import shared_operation
from mqtrace.tracer import SpanTracer

from .broker import UNKNOWN, Broker, broker_of_connection
from .channels import restore_channel
from .message import note_source

__all__ = ["ProducerState", "TracedProducer", "TracedSimpleQueue"]

#: The operation of every producer whose spans the default tracer makes.
_SENDS: Final = Operation("send")


class ProducerState(State):
    """The state of one traced Producer or SimpleQueue."""

    __slots__ = ("_broker", "_connection", "_hostname", "operation")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self.operation = _SENDS if tracer is None else shared_operation(tracer, "send")
        self._broker: Broker = UNKNOWN
        #: The kombu.Connection and its ``hostname`` when the broker was read; None before.
        self._connection: Any = None
        self._hostname: Any = None

    def unwrapped(self, client: Any) -> None:
        """Leave the channel that a SimpleQueue reads from as it was."""
        if isinstance(client, SimpleBase):
            restore_channel(client.channel)

    def revived(self) -> None:
        """Read the broker again: the channel or connection may be one to another."""
        self._connection = None

    def send(self, producer: Any, call: Callable[..., Any], body: Any, kwargs: dict[str, Any]) -> Any:
        """Call ``publish`` or ``put`` of a client with these keyword arguments, in a send span."""
        operation = self.operation
        try:
            exchange = kwargs.get("exchange") or producer.exchange
            exchange = getattr(exchange, "name", exchange) or ""
            routing_key = kwargs.get("routing_key")
            if routing_key is None:
                routing_key = producer.routing_key or ""
            connection = self._connection
            if connection is None or connection.hostname is not self._hostname:
                connection = self._read_broker(producer)
            broker = self._broker
            template = operation.templates.get((exchange, routing_key, broker.key))
            if template is None:
                key, names = (exchange, routing_key, broker.key), (as_text(exchange), as_text(routing_key), None)
                template = template_of(operation, "send", key, names, broker.endpoint, broker.system)
            ids = {MESSAGE_ID: kwargs.get("message_id"), CONVERSATION: kwargs.get("correlation_id")}
            span = start_send(template, DescribedSend if any(ids.values()) else SendSpan)
            if span is not None:
                before = kwargs.get("headers")
                headers = with_context(operation, span, before)
                if headers is not before:
                    kwargs["headers"] = headers
                if type(span) is DescribedSend:
                    span.describe({key: str(value) for key, value in ids.items() if value})
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return call(body, **kwargs)
        if not isinstance(span, SendSpan):
            return call(body, **kwargs)
        try:
            result = call(body, **kwargs)
            if connection is not None and connection.hostname is not self._hostname:
                self._failed_over(producer, span)
            span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            if connection is not None and connection.hostname is not self._hostname:
                self._failed_over(producer, span)
            end(span, error)
            raise
        return result

    def _read_broker(self, producer: Any) -> Any:
        """Read the broker of a producer's connection. Returns the connection; None if the broker is not known."""
        connection = producer.connection
        hostname = getattr(connection, "hostname", None)
        self._broker = broker_of_connection(connection)
        if self._broker is UNKNOWN:
            connection = None
        self._connection, self._hostname = connection, hostname
        return connection

    def _failed_over(self, producer: Any, span: SendSpan) -> None:
        """Replace the broker's attributes on a span by those of the broker after a failover."""
        try:
            self._read_broker(producer)
            system, endpoint, _ = self._broker
            span.set_attribute(SYSTEM, system)
            for key, value in ((SERVER_ADDRESS, endpoint.address), (SERVER_PORT, endpoint.port)):
                if value is not None:
                    span.set_attribute(key, value)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.operation.tracer.complain("the broker after a failover could not be read")


class TracedProducer(Traced):
    """kombu.Producer. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ProducerState

    def publish(self, body: Any, routing_key: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``kombu.Producer.publish``: same arguments in the same order, same errors."""
        state = self._mqtrace
        producer = self if state.raw is None else state.raw
        publish = super().publish if state.raw is None else state.raw.publish
        if args:
            names = list(inspect.signature(publish).parameters)[2 : 2 + len(args)]
            if len(names) < len(args) or not kwargs.keys().isdisjoint(names):
                return publish(body, routing_key, *args, **kwargs)  # it raises the error
            kwargs.update(zip(names, args, strict=True))
        kwargs["routing_key"] = routing_key
        return state.send(producer, publish, body, kwargs)

    def revive(self, channel: Any) -> Any:
        """``kombu.Producer.revive``: use another channel or connection."""
        self._mqtrace.revived()
        return super().revive(channel)

    def __enter__(self) -> TracedProducer:
        super().__enter__()
        return self


class TracedSimpleQueue(Traced):
    """kombu.simple.SimpleQueue and SimpleBuffer. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ProducerState

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
        state = self._mqtrace
        queue: Any = self if state.raw is None else state.raw
        return state.send(queue.producer, super().put, message, kwargs)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """``SimpleQueue.get``: a message, for ``mqtrace.process``."""
        return _with_source(self, super().get(block, timeout))

    def get_nowait(self) -> Any:
        """``SimpleQueue.get_nowait``: a message, for ``mqtrace.process``."""
        return _with_source(self, super().get_nowait())

    def __enter__(self) -> TracedSimpleQueue:
        super().__enter__()
        return self


def _with_source(queue: Any, message: Any) -> Any:
    note_source(message, queue.queue.name, bool(queue.no_ack))
    return message
