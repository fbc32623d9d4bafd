"""The callback of ``basic_consume``, called in a process span and with the traced channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.callback_wrapper import CallbackWrapper
from mqtrace.core import NoopSpan, attach, detach, release_baggage
from mqtrace.messaging import Operation, close
from mqtrace.messaging.amqp import DeliverySpan
from mqtrace.messaging.handlers import operation_in

from .deliveries import Deliveries
from .message import begin_delivery

__all__ = ["TracedCallback"]


class TracedCallback(CallbackWrapper):
    """What pika calls instead of the user's callback. Runs once a message, so it is flat."""

    __slots__ = ("auto_ack", "channel", "deliveries", "operation", "queue")

    def __init__(
        self,
        channel: Any,
        deliveries: Deliveries,
        operation: Operation,
        function: Callable[..., Any],
        queue: str,
        auto_ack: bool,
    ) -> None:
        self.channel = channel
        self.deliveries = deliveries
        self.operation = operation_in(function) or operation
        self.function = function
        self.queue = queue
        self.auto_ack = auto_ack

    def __call__(self, channel: Any, method: Any, properties: Any, body: Any) -> Any:
        try:
            span = begin_delivery(self.operation, method, properties, self.queue, self.deliveries)
            tag = method.delivery_tag
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.operation.tracer.complain("a message could not be traced")
            return self.function(self.channel, method, properties, body)
        if self.auto_ack and type(span) is DeliverySpan:
            span.outcome = "auto"
        open_spans = self.deliveries.open
        open_spans[tag] = span
        token = attach(span)
        try:
            result = self.function(self.channel, method, properties, body)
            if not span.ended:
                span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            detach(token)
            span.token = None
            self._forget(tag, span)
            close(span, error)
            raise
        detach(token)
        if span.baggage is not None:
            release_baggage(span)
        if tag in open_spans:
            self._forget(tag, span)
        return result

    def _forget(self, tag: int, span: DeliverySpan | NoopSpan) -> None:
        """Forget the span of a callback that has returned; with settle spans only when the message is settled.

        A thread that processes the message may have a process span of its own by now: that one stays.
        """
        deliveries = self.deliveries
        if deliveries.open.get(tag) is not span:
            return
        if self.auto_ack or not self.operation.tracer.settings.settle_spans:
            deliveries.open.pop(tag, None)
        else:
            deliveries.hold(tag, span)
