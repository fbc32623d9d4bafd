"""Publisher confirms on an asynchronous channel: send spans that end when the broker answers.

RabbitMQ counts the messages of a channel in confirm mode from 1, and acknowledges them by this number
(https://www.rabbitmq.com/docs/confirms#publisher-confirms). A mandatory message without a queue is returned before it
is acknowledged. Its properties still hold the context that it was sent with, which identifies its span. If that is not
the span's context (a traceparent of the user's, another format), the span is the first one to this destination that was
not returned yet: messages are returned in the order in which they were published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika.spec import Basic  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.clients.callback_wrapper import CallbackWrapper
from mqtrace.core import SendSpan
from mqtrace.messaging import Operation
from mqtrace.messaging.amqp import destination
from mqtrace.messaging.attributes import ERROR_TYPE
from mqtrace.tracer import SpanTracer

__all__ = ["Confirms"]


class Confirms(CallbackWrapper):
    """The confirms of one channel, from ``confirm_delivery`` on. pika calls it with the broker's answers.

    ``before``: that of an earlier call on this channel, whose count goes on. pika 1.4 calls only the last callback;
    earlier versions call both.
    """

    __slots__ = ("__weakref__", "count", "open", "operation")

    def __init__(self, operation: Operation, callback: Callable[[Any], object], before: Confirms | None = None) -> None:
        self.operation = operation
        self.function = callback
        #: How many messages were sent in confirm mode.
        self.count: int = 0 if before is None else before.count
        #: The spans of those without an answer, by their number.
        self.open: dict[int, SendSpan] = {} if before is None else before.open
        operation.tracer.pending_owners.add(self)

    def sent(self, span: SendSpan | None) -> None:
        """Count a message that was sent. ``span``: None if it is not recorded."""
        self.count += 1
        if span is not None:
            self.open[self.count] = span

    def __call__(self, frame: Any) -> Any:
        """The broker's answer: a frame with Basic.Ack or Basic.Nack."""
        try:
            self._answered(frame.method)
        except Exception:  # noqa: BLE001  # tracing must not cost the answer, whatever went wrong
            self.operation.tracer.complain("a publisher confirm could not be read")
        return self.function(frame)

    def _answered(self, method: Any) -> None:
        tag = method.delivery_tag
        numbers = [number for number in self.open if number <= tag or tag == 0] if method.multiple else [tag]
        for number in numbers:
            span = self.open.pop(number, None)
            if span is None or span.ended:
                continue
            if isinstance(method, Basic.Nack):
                span.failed("pika.exceptions.NackError", "the broker refused the message")
            else:
                span.end()

    def returned(self, channel: Any, method: Any, properties: Any, body: Any) -> None:
        """A mandatory message was returned: its span has an error, and ends with the answer that follows."""
        try:
            name = destination(method.exchange, method.routing_key)
            span = self._sent_with(properties.headers or {}) or self._sent_to(name)
            if span is not None:
                span.set_attributes({ERROR_TYPE: "pika.exceptions.UnroutableError"})
                span.set_status("error", f"{method.reply_code} {method.reply_text}")
        except Exception:  # noqa: BLE001  # as above
            self.operation.tracer.complain("a returned message could not be read")

    def _sent_with(self, headers: Any) -> SendSpan | None:
        identity = headers.get("traceparent")
        for span in reversed(self.open.values()):
            if identity == span.identity.decode("ascii"):
                return span
        return None

    def _sent_to(self, name: str) -> SendSpan | None:
        for span in self.open.values():
            if span.template.destination == name and span.status == "unset":
                return span
        return None

    def closed(self, channel: Any, reason: Any) -> None:
        """The channel is closed: no answer will come."""
        for number in list(self.open):
            self.open.pop(number).failed("no_confirm", "closed before the publisher confirm")

    # ------------------------------------------------------------------ what the tracer calls on pending owners

    def expire(self) -> None:
        """End the spans that have waited longer than MQTRACE_REPORT_TIMEOUT."""
        tracer = self.operation.tracer
        oldest = tracer.pipeline.clock.now() - int(tracer.settings.report_timeout * 1e9)
        self._end(lambda span: span.begun_ns < oldest)

    def release(self, tracer: SpanTracer) -> None:
        """End every span of this tracer: it is about to be shut down."""
        self._end(lambda span: span.template.pipeline is tracer.pipeline)

    def _end(self, chosen: Callable[[SendSpan], bool]) -> None:
        for number, span in list(self.open.items()):
            if chosen(span):
                self.open.pop(number, None)
                if not span.ended:
                    span.end()
