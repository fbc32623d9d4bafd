"""Publisher confirms on an asynchronous channel: send spans that end when the broker answers.

RabbitMQ counts the messages of a channel from the moment it is in confirm mode, from 1, and acknowledges by that number
(https://www.rabbitmq.com/docs/confirms#publisher-confirms). A mandatory message without a queue is returned before it
is acknowledged; the returned properties still hold the context that went out with it. Where that is not the span's (a
traceparent of the user's own, another format), it is the first message to that destination that was not returned yet:
messages are returned in the order in which they were published.
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
    """Of one channel, from ``confirm_delivery`` on. It is the callback that pika gives the answers to.

    ``before``: that of an earlier call on this channel. The broker goes on counting; pika 1.4 gives the answers to the
    last callback alone, earlier ones to both.
    """

    __slots__ = ("__weakref__", "count", "open", "operation")

    #: How many messages went out since the channel is in confirm mode, and the spans of those without an answer.
    count: int
    open: dict[int, SendSpan]

    def __init__(self, operation: Operation, callback: Callable[[Any], object], before: Confirms | None = None) -> None:
        self.operation = operation
        self.function = callback
        self.count = 0 if before is None else before.count
        self.open = {} if before is None else before.open
        operation.tracer.pending_owners.add(self)

    def sent(self, span: SendSpan | None) -> None:
        """Count a message that went out, recorded or not."""
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
        tags = [one for one in self.open if one <= tag or tag == 0] if method.multiple else [tag]
        for one in tags:
            span = self.open.pop(one, None)
            if span is None or span.ended:
                continue
            if isinstance(method, Basic.Nack):
                _fail(span, "pika.exceptions.NackError", "the broker refused the message")
            span.end()

    def returned(self, channel: Any, method: Any, properties: Any, body: Any) -> None:
        """A mandatory message came back: its span failed, and ends with the answer that follows."""
        try:
            span = self._sent_with(properties.headers or {}) or self._sent_to(
                destination(method.exchange, method.routing_key)
            )
            if span is not None:
                _fail(span, "pika.exceptions.UnroutableError", f"{method.reply_code} {method.reply_text}")
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
        for tag in list(self.open):
            span = self.open.pop(tag)
            if not span.ended:
                _fail(span, "no_confirm", "closed before the publisher confirm")
                span.end()

    # ------------------------------------------------------------------ what the tracer asks of a holder

    def expire(self) -> None:
        """End the spans that have waited longer than MQTRACE_REPORT_TIMEOUT."""
        tracer = self.operation.tracer
        oldest = tracer.pipeline.clock.now() - int(tracer.settings.report_timeout * 1e9)
        self._end(lambda span: span.begun_ns < oldest)

    def release(self, tracer: SpanTracer) -> None:
        """End every span of this tracer: it is about to be shut down."""
        self._end(lambda span: span.template.pipeline is tracer.pipeline)

    def _end(self, chosen: Callable[[SendSpan], bool]) -> None:
        for tag, span in list(self.open.items()):
            if chosen(span):
                self.open.pop(tag, None)
                if not span.ended:
                    span.end()


def _fail(span: SendSpan, kind: str, words: str) -> None:
    span.set_attributes({ERROR_TYPE: kind})
    span.set_status("error", words)
