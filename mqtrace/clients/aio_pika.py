"""aio-pika: channels, and the exchanges, queues and iterators that a traced channel returns. See docs/aio-pika.md.

A process span needs the queue of its message and the outcome. An ``IncomingMessage`` has neither, but it settles itself
through a reference to its aiormq channel. So this reference is replaced by a proxy of the channel, one for each queue:
it has the queue, and every acknowledgement goes through it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final

from aio_pika import Channel, Exchange, IncomingMessage, Message
from aio_pika.queue import Queue
from aio_pika.tools import ensure_awaitable
from aiormq.abc import DeliveredMessage

from mqtrace.clients.options import expect
from mqtrace.clients.proxy import State, Traced, stand_in
from mqtrace.clients.settling import make_adopter, source_of
from mqtrace.core import NoopSpan, SendSpan, Span, start_send
from mqtrace.messaging import Batch, Operation, end, registry_of
from mqtrace.messaging.amqp import DeliverySpan, named, with_context
from mqtrace.messaging.deliveries import Broker, Source, begin_unless_handled, collect, within_span
from mqtrace.messaging.handlers import operation_in
from mqtrace.tracer import SpanTracer

__all__ = ["adapter_of", "wrap"]

#: The slot in which a message keeps its channel.
_CHANNEL: Final[Any] = IncomingMessage.__dict__.get("_IncomingMessage__channel")


class _Outgoing:
    """A user's message with other headers, of which an exchange reads the body and the properties."""

    __slots__ = ("body", "headers", "message")

    def __init__(self, message: Any, headers: Any) -> None:
        self.message, self.headers, self.body = message, headers, message.body

    @property
    def properties(self) -> Any:
        """The message's properties with these headers."""
        properties = self.message.properties
        if type(self.message).properties is not Message.properties:
            properties = copy.copy(properties)  # aio-pika makes new ones each time, a user's class may not
        properties.headers = self.headers
        return properties

    def __getattr__(self, name: str) -> Any:
        return getattr(self.message, name)

    def __repr__(self) -> str:
        return repr(self.message)


class _PartState(State):
    """The state of a channel, or of an object that it returned. ``no_ack``: of an iterator."""

    __slots__ = ("adopters", "broker", "default_exchange", "no_ack")

    def __init__(self, broker: Broker, no_ack: bool = False) -> None:
        super().__init__()
        self.broker, self.no_ack = broker, no_ack
        #: The traced default exchange of a channel, once it was read.
        self.default_exchange: Any = None
        #: By ``no_ack``: the function that notes the queue of messages.
        self.adopters: dict[bool, Callable[[Any], Source | None]] = {}

    def adopter(self, queue: Any, no_ack: bool) -> Callable[[Any], Source | None]:
        """The function that notes on a message that it is from this queue."""
        if no_ack not in self.adopters:
            self.adopters[no_ack] = make_adopter(self.broker, queue, no_ack, _CHANNEL)
        return self.adopters[no_ack]


class TracedExchange(Traced):
    """An exchange whose messages carry a context."""

    __slots__ = ()
    _mqtrace: _PartState

    async def publish(self, message: Any, routing_key: Any, **options: Any) -> Any:
        """``publish`` of the exchange: same arguments, same errors."""
        broker, raw = self._mqtrace.broker, self._mqtrace.raw
        operation, span, outgoing = broker.send, None, message
        try:
            template = operation.templates.get((raw.name, routing_key))
            span = start_send(template or broker.send_template(raw.name, routing_key))
            if span is not None:
                headers = with_context(operation, span, message.headers)
                outgoing = message if headers is message.headers else _Outgoing(message, headers)
                if type(span) is SendSpan and (message.message_id or message.correlation_id):
                    span.describe(named(None, message.message_id, message.correlation_id))
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message is sent without its context")
        if type(span) is not SendSpan:
            return await raw.publish(outgoing, routing_key, **options)
        try:
            result = await raw.publish(outgoing, routing_key, **options)
            if isinstance(result, DeliveredMessage):  # it was returned: there is no queue for it
                returned: Any = result.delivery
                span.failed("aiormq.exceptions.PublishError", f"{returned.reply_code} {returned.reply_text}")
            span.delivered()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            end(span, error)
            raise
        return result


class _Entered(Traced):
    __slots__ = ()

    async def __aenter__(self) -> Any:
        await super().__aenter__()
        return self


class TracedIterator(_Entered):
    """An iterator over messages, which notes their queue."""

    __slots__ = ()
    _mqtrace: _PartState

    async def __anext__(self) -> Any:
        state, message = self._mqtrace, await super().__anext__()
        state.adopter(state.raw._amqp_queue, state.no_ack)(message)
        return message


class TracedQueue(Traced):
    """A queue whose callbacks run in the process span of their message."""

    __slots__ = ()
    _mqtrace: _PartState

    async def consume(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """``consume`` of the queue: same arguments, same errors."""
        state = self._mqtrace
        if callable(callback):
            no_ack = bool(args[0] if args else kwargs.get("no_ack"))
            operation = operation_in(callback) or state.broker.process
            handler: Any = callback if inspect.iscoroutinefunction(callback) else ensure_awaitable(callback)
            callback = within_span(operation, handler, state.adopter(state.raw, no_ack))
        return await state.raw.consume(callback, *args, **kwargs)

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        """``get`` of the queue."""
        state = self._mqtrace
        begun_ns = state.broker.receive.tracer.pipeline.clock.now()
        message = await super().get(*args, **kwargs)
        if message is not None:
            source = state.adopter(state.raw, bool(kwargs.get("no_ack")))(message)
            if source is not None:
                source.received(begun_ns, message)
        return message

    def iterator(self, **kwargs: Any) -> Any:
        """``iterator`` of the queue: ``async for message in mqtrace.each(queue.iterator())``."""
        state = _PartState(self._mqtrace.broker, bool(kwargs.get("no_ack")))
        return stand_in(TracedIterator, super().iterator(**kwargs), state)

    def __aiter__(self) -> Any:
        return self.iterator()


class AioPikaMessages:
    """The :class:`~mqtrace.messaging.MessageAdapter` of aio-pika."""

    def begin(self, operation: Operation, message: Any) -> DeliverySpan | NoopSpan | None:
        """Start the process span of a message; None within its own callback or block."""
        return begin_unless_handled(operation, source_of(_CHANNEL.__get__(message)), message)

    def handled(self, message: Any) -> Span | NoopSpan | None:
        """The span of a message within its own callback or block."""
        source = source_of(_CHANNEL.__get__(message))
        return None if source is None else source.deliveries.handled(message.delivery_tag)

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        return collect(operation, [(source_of(_CHANNEL.__get__(message)), message) for message in messages])


ADAPTER: Final = AioPikaMessages()


#: The adapter of IncomingMessage and its subclasses.
adapter_of = registry_of(IncomingMessage, ADAPTER)


def _returns_traced(name: str) -> Any:
    """The method of a channel that returns an exchange or a queue, which is traced here."""

    async def method(self: TracedChannel, *args: Any, **kwargs: Any) -> Any:
        return _traced(self._mqtrace.broker, await getattr(self._mqtrace.raw, name)(*args, **kwargs))

    return method


class TracedChannel(_Entered):
    """A channel whose exchanges and queues are traced."""

    __slots__ = ()
    _mqtrace: _PartState

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from super().__await__()
        return self

    @property
    def default_exchange(self) -> Any:
        """``default_exchange`` of the channel."""
        state = self._mqtrace
        raw, traced = state.raw.default_exchange, state.default_exchange
        if traced is None or traced._mqtrace.raw is not raw:
            traced = state.default_exchange = _traced(state.broker, raw)
        return traced

    @default_exchange.setter
    def default_exchange(self, exchange: Any) -> None:
        self._mqtrace.raw.default_exchange = exchange

    declare_exchange, get_exchange = _returns_traced("declare_exchange"), _returns_traced("get_exchange")
    declare_queue, get_queue = _returns_traced("declare_queue"), _returns_traced("get_queue")


def _traced(broker: Broker, raw: Any) -> Any:
    """The traced exchange or queue that a channel returned."""
    return stand_in(TracedExchange if isinstance(raw, Exchange) else TracedQueue, raw, _PartState(broker))


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced channel, exchange or queue; None for anything else."""
    expect(options, (), "an aio-pika channel has no options, leave them out")
    if isinstance(client, type) or not isinstance(client, (Channel, Exchange, Queue)):
        return None
    channel = client if isinstance(client, Channel) else client.channel
    url = getattr(getattr(channel, "_connection", None), "url", None)
    port = getattr(url, "port", None) or {"amqp": 5672, "amqps": 5671}.get(getattr(url, "scheme", ""))
    broker = Broker(tracer, getattr(url, "host", None), port, getattr(url, "path", None))
    return stand_in(TracedChannel, client, _PartState(broker)) if channel is client else _traced(broker, client)
