"""pika's channels, traced: publishing, consuming, and what becomes of a message.

``basic_publish`` has pika's own signature and hands everything on by position. The properties that the user gave may be
used for the next message too, so they are copied, never changed. On a blocking channel the call ends with the broker's
answer where confirms are on, and so does the span; an asynchronous one answers later (confirms.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pika.spec import BasicProperties  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.clients.amqp import (
    DELIVERY_TAG,
    RABBITMQ,
    ROUTING_KEY,
    DeliverySpan,
    destination,
    read_context,
    start_settle,
)
from mqtrace.clients.proxy import Proxy
from mqtrace.core import BatchSpan, NoopSpan, SendSpan, Span, Template, current_frame, start, start_send
from mqtrace.messaging import Facts, Operation, end
from mqtrace.tracer import SpanTracer

from .confirms import Confirms
from .consuming import TracedCallback
from .deliveries import Deliveries
from .properties import UNREAD, ContextProperties, with_properties

__all__ = ["TracedBlockingChannel", "TracedChannel"]

_new: Final = ContextProperties.__new__


class TracedChannel(Proxy):
    """The channel of SelectConnection and AsyncioConnection. See docs/pika.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset(
        {
            "_raw",
            "_publish",
            "_ack",
            "_operation",
            "_process",
            "_settle",
            "_receive",
            "_facts",
            "_deliveries",
            "_confirms",
        }
    )
    _deliveries: Deliveries

    def __init__(self, raw: Any, tracer: SpanTracer | None, facts: Facts) -> None:
        self._operation = Operation("send", tracer)
        self._process = Operation("process", tracer)
        self._settle = Operation("settle", tracer)
        self._receive = Operation("receive", tracer)
        self._facts = facts
        self._deliveries = Deliveries(facts)
        self._confirms: Confirms | None = None
        self._publish = raw.basic_publish
        self._ack = raw.basic_ack
        self._raw = raw

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
        operation = self._operation
        span = None
        try:
            try:
                template = operation.templates.get((exchange, routing_key))
            except TypeError:  # not hashable, so no name: the channel will say so
                template = None
            if template is None:
                template = self._template(exchange, routing_key)
            span = start_send(template)
            if (
                properties is None
                and type(span) is SendSpan
                and operation.direct
                and span.state is None
                and span.baggage is None
            ):
                made = properties = _new(ContextProperties)
                made.traceparent = span.identity
                made.sent = (span.begun + template.pipeline.clock.offset) // 1_000_000
                made.table = UNREAD
            elif properties is None and type(span) is bytes and operation.direct:
                made = properties = _new(ContextProperties)
                made.traceparent = span
                made.sent = None
                made.table = UNREAD
            elif span is not None:
                properties = with_properties(operation, span, properties)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message is sent without its context")
        if type(span) is not SendSpan:
            result = self._publish(exchange, routing_key, body, properties, mandatory)
            if self._confirms is not None:
                self._confirms.sent(None)
            return result
        try:
            result = self._publish(exchange, routing_key, body, properties, mandatory)
            if self._confirms is None:
                span.end()  # within: a signal's handler may raise before this has begun
            else:
                self._confirms.sent(span)
        except BaseException as error:
            end(span, error)
            raise
        return result

    def _template(self, exchange: Any, routing_key: Any) -> Template:
        named = isinstance(exchange, str) and isinstance(routing_key, str)
        exchange, routing_key = str(exchange), str(routing_key)
        return self._operation.make(
            (exchange, routing_key) if named else None,
            RABBITMQ,
            "send",
            destination(exchange, routing_key),
            self._facts,
            {ROUTING_KEY: routing_key} if routing_key else None,
        )

    # ------------------------------------------------------------------ consuming

    def basic_consume(self, queue: str, on_message_callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``basic_consume`` of the channel. The callback runs in the process span of its message."""
        auto_ack = bool(args[0] if args else kwargs.get("auto_ack"))
        tag = self._raw.basic_consume(queue, self._traced(on_message_callback, queue, auto_ack), *args, **kwargs)
        self._deliveries.consumers[tag] = (queue, auto_ack)
        return tag

    def basic_cancel(self, *args: Any, **kwargs: Any) -> Any:
        """``basic_cancel`` of the channel. A blocking one gives messages that came too late for the callback."""
        result = self._raw.basic_cancel(*args, **kwargs)
        tag: Any = args[0] if args else kwargs.get("consumer_tag")
        queue, auto_ack = self._deliveries.consumers.pop(tag, ("", False))
        for message in result if isinstance(result, (list, tuple)) else ():
            self._deliveries.hand(message[0], queue, auto_ack)
        return result

    def basic_get(self, queue: str, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """``basic_get`` of an asynchronous channel. The callback runs in the process span of its message."""
        auto_ack = bool(args[0] if args else kwargs.get("auto_ack"))
        return self._raw.basic_get(queue, self._traced(callback, queue, auto_ack), *args, **kwargs)

    def _traced(self, callback: Any, queue: Any, auto_ack: bool) -> Any:
        if not callable(callback):
            return callback  # the channel will refuse it in its own words
        return TracedCallback(
            self, self._deliveries, self._process, callback, queue if isinstance(queue, str) else "", auto_ack
        )

    # ------------------------------------------------------------------ settling

    def basic_ack(self, delivery_tag: int = 0, multiple: bool = False) -> Any:
        """``basic_ack`` of the channel."""
        if self._settle.tracer.settings.settle_spans and self._settles():
            return self._settled("ack", "ack", delivery_tag, multiple, self._ack, (delivery_tag, multiple))
        result = self._ack(delivery_tag, multiple)
        deliveries = self._deliveries
        if multiple or deliveries.handed or type(delivery_tag) is not int:
            self._note("ack", delivery_tag, multiple)
        elif type(span := deliveries.open.pop(delivery_tag, None)) is DeliverySpan and not span.ended:
            span.outcome = "ack"
        return result

    def basic_nack(self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True) -> Any:
        """``basic_nack`` of the channel."""
        outcome = "requeue" if requeue else "nack"
        arguments = (delivery_tag, multiple, requeue)
        if self._settles():
            return self._settled("nack", outcome, delivery_tag, multiple, self._raw.basic_nack, arguments)
        result = self._raw.basic_nack(*arguments)
        self._note(outcome, delivery_tag, multiple)
        return result

    def basic_reject(self, delivery_tag: int = 0, requeue: bool = True) -> Any:
        """``basic_reject`` of the channel."""
        outcome = "requeue" if requeue else "reject"
        if self._settles():
            return self._settled(
                "reject", outcome, delivery_tag, False, self._raw.basic_reject, (delivery_tag, requeue)
            )
        result = self._raw.basic_reject(delivery_tag, requeue)
        self._note(outcome, delivery_tag, False)
        return result

    def _settles(self) -> bool:
        settings = self._settle.tracer.settings
        return settings.settle_spans and not settings.disabled

    def _note(self, outcome: str, tag: Any, multiple: bool) -> None:
        """Say on the process spans that are still open what became of their messages."""
        for span in self._take(tag, multiple):
            if type(span) is DeliverySpan and not span.ended:
                span.outcome = outcome

    def _take(self, tag: Any, multiple: bool) -> list[Span | NoopSpan]:
        try:
            return self._deliveries.settle(tag, multiple)
        except Exception:  # noqa: BLE001  # tracing must not cost the acknowledgement, whatever went wrong
            self._settle.tracer.complain("an acknowledgement could not be noted")
            return []

    def _settled(
        self, verb: str, outcome: str, tag: Any, multiple: bool, call: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Settle in a span of its own."""
        spans = self._take(tag, multiple)
        names = {one.template.destination for one in spans if isinstance(one, Span)}
        name = names.pop() if len(names) == 1 else None
        attributes = {"messaging.batch.message_count": len(spans)} if multiple else {DELIVERY_TAG: tag}
        with start_settle(self._settle, RABBITMQ, verb, spans, name, self._facts, attributes):
            result = call(*arguments)
        for span in spans:
            if type(span) is DeliverySpan and not span.ended:
                span.outcome = outcome
        return result

    # ------------------------------------------------------------------ other callbacks that are given the channel

    def confirm_delivery(self, ack_nack_callback: Any, *args: Any, **kwargs: Any) -> Any:
        """``confirm_delivery`` of the channel: from here on send spans end when the broker answers."""
        if not callable(ack_nack_callback):
            return self._raw.confirm_delivery(ack_nack_callback, *args, **kwargs)
        if self._confirms is not None:  # the broker goes on counting, and answers both callbacks, or the same one once
            again = self._confirms if ack_nack_callback == self._confirms.callback else ack_nack_callback
            return self._raw.confirm_delivery(again, *args, **kwargs)
        confirms = Confirms(self._operation, ack_nack_callback)
        result = self._raw.confirm_delivery(confirms, *args, **kwargs)
        self._raw.add_on_return_callback(confirms.returned)
        self._raw.add_on_close_callback(confirms.closed)
        self._confirms = confirms
        return result

    def add_on_return_callback(self, callback: Any) -> Any:
        """``add_on_return_callback`` of the channel."""
        return self._raw.add_on_return_callback(self._handing_itself(callback))

    def add_on_close_callback(self, callback: Any) -> Any:
        """``add_on_close_callback`` of the channel."""
        return self._raw.add_on_close_callback(self._handing_itself(callback))

    def _handing_itself(self, callback: Any) -> Any:
        """A callback that is given the wrapped channel where pika gives its own."""
        if not callable(callback):
            return callback
        return lambda _channel, *rest: callback(self, *rest)

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the channel."""
        result = self._raw.close(*args, **kwargs)
        self._deliveries.clear()
        return result

    def __int__(self) -> int:
        return int(self._raw)


class TracedBlockingChannel(TracedChannel):
    """The channel of BlockingConnection. See docs/pika.md. Made by :func:`mqtrace.wrap`."""

    def basic_get(self, queue: str, auto_ack: bool = False) -> Any:
        """``basic_get`` of a blocking channel: (method, properties, body), or three times None."""
        begun = self._receive.tracer.pipeline.clock.now()
        message = self._raw.basic_get(queue, auto_ack)
        if message[0] is not None:
            self._deliveries.hand(message[0], queue, auto_ack)
            self._received(begun, message, queue)
        return message

    def _received(self, begun: int, message: Any, queue: str) -> None:
        """The receive span of a basic_get that gave a message: CLIENT, linked to it."""
        operation = self._receive
        settings = operation.tracer.settings
        if not settings.receive_spans or settings.disabled:
            return
        try:
            method, properties, _ = message
            name = destination(method.exchange, method.routing_key, queue)
            template = operation.templates.get(name)
            if template is None:
                template = operation.make(name, RABBITMQ, "receive", name, self._facts)
            span = start(template, current_frame(), BatchSpan)
            if isinstance(span, BatchSpan):
                span.begun = begun
                origin = read_context(operation, properties.headers)[0].identity
                span.origins = [] if origin is None else [(origin, -1, -1, None)]
                span.end()
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a receive span could not be made")

    def consume(self, queue: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """``consume`` of a blocking channel: a generator of (method, properties, body), for ``mqtrace.each``."""
        auto_ack = bool(args[0] if args else kwargs.get("auto_ack"))
        messages = self._raw.consume(queue, *args, **kwargs)
        try:
            for message in messages:
                if message[0] is not None:
                    self._deliveries.hand(message[0], queue, auto_ack)
                yield message
        finally:
            messages.close()

    def confirm_delivery(self, *args: Any, **kwargs: Any) -> Any:
        """``confirm_delivery`` of a blocking channel, whose ``basic_publish`` then waits for the broker."""
        return self._raw.confirm_delivery(*args, **kwargs)

    def __enter__(self) -> TracedBlockingChannel:
        self._raw.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._raw.__exit__(*exception)
