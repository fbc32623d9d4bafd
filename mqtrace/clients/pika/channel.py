"""pika's channels, traced: publishing, consuming and settling.

``basic_publish`` has pika's own signature and passes everything on by position. A user may pass the same properties
again for the next message, so they are copied, never changed. With confirms a blocking channel returns from the call
when the broker answers, and the span ends there; on an asynchronous channel the answer comes later (confirms.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pika.spec import BasicProperties  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.clients.callback_wrapper import CallbackWrapper
from mqtrace.clients.proxy import Traced
from mqtrace.core import SendSpan, start_send
from mqtrace.messaging import end
from mqtrace.messaging.amqp import DeliverySpan
from mqtrace.messaging.opt_in import clock_ns

from .confirms import Confirms
from .instrumented import without_theirs
from .properties import UNREAD, ContextProperties, class_of_send, with_properties
from .state import ChannelState

__all__ = ["TracedBlockingChannel", "TracedChannel"]

_new: Final = ContextProperties.__new__


class TracedChannel(Traced):
    """The channel of SelectConnection and AsyncioConnection. See docs/pika.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ChannelState

    # ------------------------------------------------------------------ publishing

    def basic_publish(
        self,
        exchange: str,
        routing_key: str,
        body: Any,
        properties: BasicProperties | None = None,
        mandatory: bool = False,
    ) -> Any:
        """``basic_publish`` of the channel: same arguments in the same order, same errors."""
        state = self._mqtrace
        operation = state.operation
        span = None
        try:
            try:
                template = operation.templates.get((exchange, routing_key))
            except TypeError:  # not hashable, so not a name: the channel raises the error
                template = None
            if template is None:
                template = state.template(exchange, routing_key)
            span = start_send(template, SendSpan if properties is None else class_of_send(properties))
            if (
                properties is None
                and type(span) is SendSpan
                and operation.w3c_only
                and span.state is None
                and span.baggage is None
            ):
                context = properties = _new(ContextProperties)
                context.traceparent = span.identity
                context.sent_ms = (span.begun_ns + template.pipeline.clock.offset) // 1_000_000
                context.table = UNREAD
            elif properties is None and type(span) is bytes and operation.w3c_only:
                context = properties = _new(ContextProperties)
                context.traceparent = span
                context.sent_ms = None
                context.table = UNREAD
            elif span is not None:
                properties = with_properties(operation, span, properties)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message is sent without its context")
        if not isinstance(span, SendSpan):
            result = state.publish(exchange, routing_key, body, properties, mandatory)
            if state.confirms is not None:
                state.confirms.sent(None)
            return result
        try:
            result = state.publish(exchange, routing_key, body, properties, mandatory)
            if state.confirms is None:
                span.end()  # within: a signal's handler may raise before this has begun
            else:
                state.confirms.sent(span)
        except BaseException as error:
            end(span, error)
            raise
        return result

    # ------------------------------------------------------------------ consuming

    def basic_consume(self, queue: str, on_message_callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``basic_consume`` of the channel. The callback runs in the process span of its message."""
        auto_ack = bool(args[0] if args else kwargs.get("auto_ack"))
        callback = self._mqtrace.callback(self, on_message_callback, queue, auto_ack)
        tag = super().basic_consume(queue, callback, *args, **kwargs)
        self._mqtrace.deliveries.consumers[tag] = (queue, auto_ack)
        return tag

    def basic_cancel(self, *args: Any, **kwargs: Any) -> Any:
        """``basic_cancel`` of the channel. A blocking one returns messages that came too late for the callback."""
        result = super().basic_cancel(*args, **kwargs)
        tag: Any = args[0] if args else kwargs.get("consumer_tag")
        queue, auto_ack = self._mqtrace.deliveries.consumers.pop(tag, ("", False))
        for message in result if isinstance(result, (list, tuple)) else ():
            self._mqtrace.deliveries.note_fetched(message[0], queue, auto_ack)
        return result

    def basic_get(self, queue: str, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """``basic_get`` of an asynchronous channel. The callback runs in the process span of its message."""
        auto_ack = bool(args[0] if args else kwargs.get("auto_ack"))
        return super().basic_get(queue, self._mqtrace.callback(self, callback, queue, auto_ack), *args, **kwargs)

    # ------------------------------------------------------------------ settling

    def basic_ack(self, delivery_tag: int = 0, multiple: bool = False) -> Any:
        """``basic_ack`` of the channel."""
        state = self._mqtrace
        if state.settle.tracer.settings.settle_spans and state.wants_settle():
            return state.settle_in_span("ack", "ack", delivery_tag, multiple, state.ack, (delivery_tag, multiple))
        result = state.ack(delivery_tag, multiple)
        deliveries = state.deliveries
        if multiple or deliveries.fetched or type(delivery_tag) is not int:
            state.note_outcome("ack", delivery_tag, multiple)
        elif type(span := deliveries.open.pop(delivery_tag, None)) is DeliverySpan and not span.ended:
            span.outcome = "ack"
        return result

    def basic_nack(self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True) -> Any:
        """``basic_nack`` of the channel."""
        state = self._mqtrace
        outcome = "requeue" if requeue else "nack"
        arguments = (delivery_tag, multiple, requeue)
        if state.wants_settle():
            return state.settle_in_span("nack", outcome, delivery_tag, multiple, super().basic_nack, arguments)
        result = super().basic_nack(*arguments)
        state.note_outcome(outcome, delivery_tag, multiple)
        return result

    def basic_reject(self, delivery_tag: int = 0, requeue: bool = True) -> Any:
        """``basic_reject`` of the channel."""
        state = self._mqtrace
        outcome = "requeue" if requeue else "reject"
        if state.wants_settle():
            arguments = (delivery_tag, requeue)
            return state.settle_in_span("reject", outcome, delivery_tag, False, super().basic_reject, arguments)
        result = super().basic_reject(delivery_tag, requeue)
        state.note_outcome(outcome, delivery_tag, False)
        return result

    # ------------------------------------------------------------------ other callbacks with the channel as argument

    def confirm_delivery(self, ack_nack_callback: Any, *args: Any, **kwargs: Any) -> Any:
        """``confirm_delivery`` of the channel: from here on send spans end when the broker answers."""
        if not callable(ack_nack_callback):
            return super().confirm_delivery(ack_nack_callback, *args, **kwargs)
        earlier = self._mqtrace.confirms
        confirms = Confirms(self._mqtrace.operation, ack_nack_callback, earlier)
        result = super().confirm_delivery(confirms, *args, **kwargs)
        if earlier is None:
            super().add_on_return_callback(confirms.returned)
            super().add_on_close_callback(confirms.closed)
        self._mqtrace.confirms = confirms
        return result

    def add_on_return_callback(self, callback: Any) -> Any:
        """``add_on_return_callback`` of the channel."""
        return super().add_on_return_callback(_with_channel(self, callback))

    def add_on_close_callback(self, callback: Any) -> Any:
        """``add_on_close_callback`` of the channel."""
        return super().add_on_close_callback(_with_channel(self, callback))

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the channel."""
        result = super().close(*args, **kwargs)
        self._mqtrace.deliveries.clear()
        return result


class TracedBlockingChannel(TracedChannel):
    """The channel of BlockingConnection. See docs/pika.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()

    def basic_get(self, queue: str, auto_ack: bool = False) -> Any:
        """``basic_get`` of a blocking channel: (method, properties, body), or three times None."""
        begun = clock_ns(self._mqtrace.receive)
        message = super(TracedChannel, self).basic_get(queue, auto_ack)  # not TracedChannel's, with a callback
        if message[0] is not None:
            self._mqtrace.deliveries.note_fetched(message[0], queue, auto_ack)
            self._mqtrace.received(begun, message, queue)
        return message

    def consume(self, queue: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """``consume`` of a blocking channel: a generator of (method, properties, body), for ``mqtrace.each``."""
        auto_ack = bool(args[0] if args else kwargs.get("auto_ack"))
        messages = without_theirs(super().consume(queue, *args, **kwargs), self._mqtrace.process)
        try:
            for message in messages:
                if message[0] is not None:
                    self._mqtrace.deliveries.note_fetched(message[0], queue, auto_ack)
                yield message
        finally:
            messages.close()

    def confirm_delivery(self, *args: Any, **kwargs: Any) -> Any:
        """``confirm_delivery`` of a blocking channel, whose ``basic_publish`` then waits for the broker."""
        return super(TracedChannel, self).confirm_delivery(*args, **kwargs)

    def __enter__(self) -> TracedBlockingChannel:
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return super().__exit__(*exception)


class _WithChannel(CallbackWrapper):
    """A callback that is called with the traced channel instead of pika's."""

    __slots__ = ("channel",)

    def __init__(self, function: Callable[..., Any], channel: Any) -> None:
        self.function = function
        self.channel = channel

    def __call__(self, _channel: Any, *rest: Any) -> Any:
        return self.function(self.channel, *rest)


def _with_channel(channel: TracedChannel, callback: Any) -> Any:
    return _WithChannel(callback, channel) if callable(callback) else callback
