"""kombu's Consumer, traced: its callbacks run in the process span of their message.

A Consumer calls its own ``on_message`` if there is one, else its own ``receive``, which calls every callback: both are
documented to be replaced. They are, on the object itself, because the broker's deliveries go there and not through
anything around it. So all callbacks of one message share one span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.amqp import operation_in
from mqtrace.clients.proxy import Proxy
from mqtrace.core import current
from mqtrace.messaging import Operation, close
from mqtrace.tracer import SpanTracer

from .message import begin_delivery, handled

__all__ = ["TracedConsumer"]


class TracedConsumer(Proxy):
    """kombu.Consumer. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset({"_raw", "_process", "_receive", "_on_message", "_no_ack", "on_message"})

    def __init__(self, raw: Any, tracer: SpanTracer | None) -> None:
        self._process = Operation("process", tracer)
        self._receive = raw.receive
        self._on_message: Callable[[Any], Any] | None = None
        self._no_ack = bool(raw.no_ack)
        self._raw = raw
        raw.receive = self.receive
        self.on_message = raw.on_message

    @property
    def on_message(self) -> Any:
        """The user's own; what the consumer holds calls it."""
        return self._on_message

    @on_message.setter
    def on_message(self, callback: Any) -> None:
        self._on_message = callback
        self._raw.on_message = None if callback is None else self._messaged

    def receive(self, body: Any, message: Any) -> Any:
        """``receive`` of the consumer: every callback, in the process span of the message."""
        callbacks = list(self._raw.callbacks or ())
        operation = (operation_in(callbacks[0]) if len(callbacks) == 1 else None) or self._process
        return self._handled(operation, message, self._receive, (body, message))

    def _messaged(self, message: Any) -> Any:
        callback = self._on_message
        if callback is None:
            return None
        return self._handled(operation_in(callback) or self._process, message, callback, (message,))

    def _handled(self, operation: Operation, message: Any, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        try:
            span = begin_delivery(operation, message, self._queue(message), self._no_ack)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return call(*given)
        token = current.set(span)
        handled[id(message)] = message
        try:
            result = call(*given)
            if not span.ended:
                span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            current.reset(token)
            handled.pop(id(message), None)
            span.token = None
            close(span, error)
            raise
        current.reset(token)
        handled.pop(id(message), None)
        return result

    def _queue(self, message: Any) -> str:
        """The queue of a message: of several, the only one that is bound as the message was routed."""
        queues = self._raw.queues
        if len(queues) > 1:
            said = message.delivery_info or {}
            exchange, routing_key = said.get("exchange") or "", said.get("routing_key") or ""
            queues = [
                queue
                for queue in queues
                if (queue.exchange is not None and queue.exchange.name == exchange and queue.routing_key == routing_key)
                or (not exchange and queue.name == routing_key)
            ]
        return str(queues[0].name) if len(queues) == 1 else ""

    def consume(self, no_ack: bool | None = None) -> Any:
        """``consume`` of the consumer."""
        if no_ack is not None:
            self._no_ack = bool(no_ack)
        return self._raw.consume(no_ack)

    def __enter__(self) -> TracedConsumer:
        self._raw.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._raw.__exit__(*exception)
