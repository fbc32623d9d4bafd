"""The messages of an AMQP 0-9-1 channel: their process spans, and how they are settled.

For clients whose messages have what the protocol defines, under its names: ``exchange``, ``routing_key``,
``delivery_tag``, ``redelivered``, ``message_id``, ``correlation_id`` and ``headers``. ``processed``: whether a message
is settled. No client library is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from mqtrace.core import NoopSpan, Span, Template, attach, current_frame, detach, keep_recent, release_baggage, restore
from mqtrace.tracer import SpanTracer

from . import amqp, opt_in
from .acknowledgements import note_outcome, receive, start_settle_of
from .amqp import BatchMessage, DeliverySpan, start_delivery_of, template_of
from .batch import Batch
from .brokers import RABBITMQ, server_in_parts
from .operation import NOTHING_KNOWN, Endpoint, Operation
from .run import end

__all__ = ["Broker", "Deliveries", "Source", "begin", "begin_unless_handled", "collect", "within_span"]

# A prefetch count has 16 bits. Without one a consumer may hold more: then the outcomes of the oldest are not noted.
_OPEN: Final = 65536


class Broker:
    """What a traced channel and the objects that it returned share: their operations, and the broker's address."""

    __slots__ = ("address", "deliveries", "endpoint", "process", "receive", "send", "settle")

    def __init__(self, tracer: SpanTracer | None, host: object, port: object, virtual_host: object) -> None:
        self.send, self.process = Operation("send", tracer), Operation("process", tracer)
        self.receive, self.settle = Operation("receive", tracer), Operation("settle", tracer)
        address, number = server_in_parts(host, port, virtual_host)
        self.endpoint = Endpoint(address=address, port=number)
        #: The broker, as part of a template's key: one text, which is hashed once.
        self.address = f"{address}:{number}"
        #: By the library's channel: after a reconnect there is another, whose delivery tags begin again.
        self.deliveries: WeakKeyDictionary[Any, Deliveries] = WeakKeyDictionary()

    def send_template(self, exchange: Any, routing_key: Any) -> Template:
        """Make the send template of an exchange and a routing key."""
        return amqp.send_template(self.send, exchange, routing_key, self.endpoint)


class Deliveries:
    """The process spans of the messages of one channel, by delivery tag."""

    __slots__ = ("handling", "open")

    def __init__(self) -> None:
        #: Of messages in a callback right now, settled or not.
        self.handling: dict[int, Span | NoopSpan] = {}
        #: Of other messages that are not settled.
        self.open: dict[int, Span | NoopSpan] = {}

    def hold(self, tag: int, span: Span | NoopSpan) -> None:
        """Keep the span of a message that is not in a callback until it is settled."""
        keep_recent(self.open, tag, span, _OPEN)

    def take(self, tag: int, multiple: bool) -> list[Span | NoopSpan]:
        """The spans of the messages that an acknowledgement settles (AMQP 0-9-1, basic.ack: with tag 0 all)."""
        if not multiple:
            span = self.handling.get(tag) or self.open.pop(tag, None)
            return [] if span is None else [span]
        tags = [other for other in sorted({*self.handling, *self.open}) if other <= tag or tag == 0]
        return [span for other in tags for span in self.take(other, False)]

    def handles(self, tag: int) -> bool:
        """Whether the span of this message is open, in a callback or a block."""
        span = self.handling.get(tag) or self.open.get(tag)
        return span is not None and not span.ended

    def handled(self, tag: int) -> Span | NoopSpan | None:
        """The open span of this message."""
        span = self.handling.get(tag) or self.open.get(tag)
        return None if span is None or span.ended else span


class Source:
    """Where messages come from: a queue, read through one channel. ``no_ack``: they need no acknowledgement."""

    __slots__ = ("broker", "deliveries", "handling", "no_ack", "queue")

    def __init__(self, broker: Broker, queue: str, no_ack: bool, channel: Any) -> None:
        self.broker, self.queue, self.no_ack = broker, queue, no_ack
        deliveries = broker.deliveries.get(channel)
        if deliveries is None:
            deliveries = broker.deliveries[channel] = Deliveries()
        self.deliveries = deliveries
        #: That of the deliveries, because it is read twice a message.
        self.handling = deliveries.handling

    def wants_settle(self) -> bool:
        """Whether an acknowledgement has a span of its own."""
        return opt_in.wants_settle(self.broker.settle.tracer)

    async def settle(self, verb: str, call: Callable[..., Any], tag: Any, options: Mapping[str, Any]) -> Any:
        """Await ``call(tag, **options)``, and note the outcome of the messages on their spans, if those are open.

        ``verb``: ack, nack or reject. ``options``: by the protocol's names.
        """
        multiple = bool(options.get("multiple"))
        outcome = "requeue" if verb != "ack" and options.get("requeue", True) else verb
        if not self.wants_settle():
            result = await call(tag, **options)
            spans = self._take(tag, multiple)
        else:
            spans = self._take(tag, multiple)
            with start_settle_of(self.broker.settle, self.broker.endpoint, verb, spans, tag, multiple):
                result = await call(tag, **options)
        note_outcome(spans, outcome)
        return result

    def _take(self, tag: Any, multiple: bool) -> list[Span | NoopSpan]:
        try:
            return self.deliveries.take(tag, multiple)
        except Exception:  # noqa: BLE001  # tracing must not cost the acknowledgement, whatever went wrong
            self.broker.settle.tracer.complain("an acknowledgement could not be noted")
            return []

    def received(self, begun_ns: int, message: Any) -> None:
        """Make the receive span of a fetched message, if wanted. ``begun_ns``: a reading of the tracer's clock."""
        broker = self.broker
        receive(broker.receive, broker.endpoint, begun_ns, _names(message, self), message.headers)


def _names(message: Any, source: Source | None) -> tuple[str, str, str]:
    """The exchange, the routing key and the queue of a message."""
    return message.exchange or "", message.routing_key or "", "" if source is None else source.queue


def begin(operation: Operation, source: Source | None, message: Any) -> DeliverySpan | NoopSpan:
    """Start the process span of a message. It is not current yet. ``source``: None if it is not known."""
    if source is None:
        key = (message.exchange, message.routing_key, "", "")
    else:
        key = (message.exchange, message.routing_key, source.queue, source.broker.address)
    template = operation.templates.get(key)
    if template is None:
        endpoint = NOTHING_KNOWN if source is None else source.broker.endpoint
        template = template_of(operation, "process", key, _names(message, source), endpoint)
    span = start_delivery_of(operation, template, message, message)
    if source is not None and source.no_ack and type(span) is DeliverySpan:
        span.outcome = "auto"
    return span


def within_span(
    operation: Operation,
    handler: Callable[[Any], Coroutine[Any, Any, Any]],
    source_of: Callable[[Any], Source | None],
) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """A handler in the process span of its message. It runs once a message, so it is flat."""

    async def traced(message: Any) -> Any:
        try:
            source = source_of(message)
            span = begin(operation, source, message)
            handling = {} if source is None else source.handling
            tag = message.delivery_tag
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return await handler(message)
        handling[tag] = span
        token = attach(span)
        try:
            result = await handler(message)
            if not span.ended:
                span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            span.token = token
            restore(span)
            end(span, error)  # GeneratorExit too: the loop was closed before the handler was done
            raise
        finally:
            handling.pop(tag, None)
            if (
                operation.tracer.settings.settle_spans
                and source is not None
                and not getattr(message, "processed", True)
            ):
                source.deliveries.hold(tag, span)
        detach(token)
        if span.baggage is not None:
            release_baggage(span)
        return result

    return traced


def begin_unless_handled(operation: Operation, source: Source | None, message: Any) -> DeliverySpan | NoopSpan | None:
    """The same for a message that the application processes; None within its own callback or block."""
    if source is None:
        return begin(operation, None, message)
    if source.deliveries.handles(message.delivery_tag) and current_frame() is not None:
        return None
    span = begin(operation, source, message)
    if not source.no_ack:
        source.deliveries.hold(message.delivery_tag, span)
    return span


def collect(operation: Operation, messages: Iterable[tuple[Source | None, Any]]) -> Batch | None:
    """Read the contexts of a batch of messages, each with its source."""
    batch: list[BatchMessage] = []
    endpoint: Endpoint | None = None
    for source, message in messages:
        if source is not None and endpoint is None:
            endpoint = source.broker.endpoint
        name = amqp.destination(*_names(message, source))
        batch.append((message.headers, name, message.delivery_tag, message.message_id, message.correlation_id))
    return amqp.read_batch(operation, RABBITMQ, batch, endpoint or NOTHING_KNOWN)
