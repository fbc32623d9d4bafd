"""confluent_kafka.aio: AIOProducer and AIOConsumer, as objects and as classes.

The client's ``produce`` gathers messages for a batch call, which takes no headers. So a message that has a context goes
out by itself, through the Producer within the client and past that one's own tracing; what carries none, and what a
batch would refuse, goes as it goes without us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final
from weakref import ref

from confluent_kafka import aio as library
from confluent_kafka.aio import AIOConsumer, AIOProducer
from confluent_kafka.cimpl import KafkaException, Producer

from mqtrace.clients.proxy import State, Traced, is_traced, stand_in, traced_kind
from mqtrace.core import ForkSafeLock, NoopSpan, Template, start_send
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, kafka
from mqtrace.messaging.futures import FutureSpan, abandon_soon, end_with, until_done
from mqtrace.messaging.pending import Pending
from mqtrace.messaging.reading import Reading
from mqtrace.tracer import SpanTracer

from . import batches
from .configuration import configuration_of, from_configuration
from .message import context_of

__all__ = ["wrap"]

#: Classes whose objects a coroutine makes, past the constructor. Not every version has them.
_AWAITED: Final = tuple(
    getattr(library, name)
    for name in ("AsyncSerializingProducer", "AsyncDeserializingConsumer")
    if hasattr(library, name)
)
#: Seconds that one turn waits for reports, in a thread of the client's executor.
_TURN_S: Final = 0.05


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    if isinstance(client, type):
        if issubclass(client, _AWAITED):
            return None
        shared = tracer is None and not options
        if issubclass(client, AIOProducer):
            return traced_kind(client, AIOProducer, TracedAIOProducer, partial(Sends, tracer, options), shared=shared)
        if issubclass(client, AIOConsumer):
            return traced_kind(client, AIOConsumer, TracedAIOConsumer, partial(Reads, tracer, options), shared=shared)
    elif isinstance(client, AIOProducer) and type(client).produce is AIOProducer.produce:
        sends = Sends(tracer, options)
        sends.configure((), {})
        sends.opened(client)
        return stand_in(TracedAIOProducer, client, sends)
    elif isinstance(client, AIOConsumer):
        reads = Reads(tracer, options)
        reads.configure((), {})
        reads.opened(client)
        return stand_in(TracedAIOConsumer, client, reads)
    return None


def _endpoint(args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Endpoint:
    named = next((kwargs[name] for name in ("producer_conf", "consumer_conf", "conf") if name in kwargs), None)
    said = {name.replace("_", "."): value for name, value in options.items()}
    return from_configuration({**configuration_of(args, {"conf": named}), **said})


# ---------------------------------------------------------------------- sending


class Sending(FutureSpan):
    """The span of a message."""

    __slots__ = ()

    def place(self, report: Any) -> tuple[int, int]:
        """Of the Message of the delivery report."""
        return report.partition(), report.offset()


class Report:
    """The delivery callback of a message: it settles the future of the message, in the future's loop."""

    __slots__ = ("future", "loop", "sends")

    def __init__(self, sends: Sends, loop: asyncio.AbstractEventLoop) -> None:
        self.sends = sends
        self.loop = loop
        self.future = loop.create_future()
        sends.reports.add(self)

    def __call__(self, error: Any, message: Any) -> None:
        """Called by librdkafka, in whatever thread serves it."""
        self.sends.reports.discard(self)
        try:
            self.loop.call_soon_threadsafe(self.settle, error, message)
        except RuntimeError:  # the loop is closed, and nobody awaits the future
            pass

    def settle(self, error: Any, message: Any) -> None:
        """Settle the future, as the client does."""
        if not self.future.done():
            if error is None:
                self.future.set_result(message)
            else:
                self.future.set_exception(error if isinstance(error, BaseException) else KafkaException(error))


class Sends(State):
    """What is ours of a traced producer. ``reports``: those that librdkafka owes."""

    __slots__ = ("_lock", "_options", "_serving", "endpoint", "operation", "pending", "produced", "reports")

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = options
        self._lock = ForkSafeLock()
        self._serving = False
        self.endpoint = NOTHING_KNOWN
        self.operation = Operation("send", tracer)
        self.pending = Pending(self.operation)
        self.produced = 0
        self.reports: set[Report] = set()

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.endpoint = _endpoint(args, kwargs, self._options)

    def opened(self, client: Any) -> None:
        """Have the Producer within step aside, where ``mqtrace run`` has put a traced one into the client."""
        if is_traced(type(client._producer)):
            client._producer._mqtrace.aside = True

    def template(self, topic: Any) -> Template:
        """The template of a topic, made."""
        self.pending.attend()
        return self.operation.make(topic, kafka.SYSTEM, "send", str(topic), self.endpoint)

    def produce(self, client: Any, span: Any, topic: str, message: Mapping[str, Any]) -> asyncio.Future[Any]:
        """Send a message by itself. Its future is what a batch would make of it, errors included."""
        report = Report(self, asyncio.get_running_loop())
        headers = kafka.with_context(self.operation, NoopSpan(span) if type(span) is bytes else span, None)
        call = batches.plain_produce(client._producer)
        try:
            error = batches.produce(call, topic, message, message.get("partition", -1), report, headers)
        except Exception as raised:  # noqa: BLE001  # of a batch: it fails the futures
            error = raised  # type: ignore[assignment]  # either
        if error is not None:
            self.reports.discard(report)
            report.settle(error, None)
        else:
            self._serve(client)
        return report.future

    def _serve(self, client: Any) -> None:
        """Have the client's executor serve reports as long as any is owed: nobody else may."""
        with self._lock.lock:
            if self._serving or not self.reports or client._is_closed:
                return
            try:
                client.executor.submit(self._turn, client)
                self._serving = True
            except RuntimeError:  # it is shut down
                pass

    def _turn(self, client: Any) -> None:
        try:
            Producer.poll.__get__(client._producer)(_TURN_S)
        finally:
            self._serving = False
            self._serve(client)


class TracedAIOProducer(Traced):
    """See docs/confluent-aio.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Sends

    async def produce(self, topic: Any, value: Any = None, key: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``produce`` of the client: same arguments, same errors, a future of the Message."""
        sends = self._mqtrace
        client = self if sends.raw is None else sends.raw
        operation = sends.operation
        template = operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = sends.template(topic)
        span: Any = start_send(template if value is not None else kafka.tombstone(template), Sending)
        message: dict[str, Any] = {"value": value, "key": key}
        message.update((name, kwargs[name]) for name in _TAKEN if name in kwargs)
        if span is not None and operation.tracer.propagator.fields and _may_part(client, topic, message):
            future = sends.produce(client, span, topic, message)
            if type(span) is Sending:
                sends.pending.hold(span)
                end_with(future, span, sends.pending)
            sends.produced += 1
            if sends.produced % client._batch_size == 0:  # here a batch would be sent, and the loop have its turn
                await client.poll(0)
            return future
        call = super().produce(topic, value, key, *args, **kwargs)
        return await (until_done(call, span, sends.pending) if type(span) is Sending else call)

    async def close(self) -> Any:
        """``close`` of the client; a message that has no report by then was not delivered as far as anyone knows."""
        try:
            return await super().close()
        finally:
            abandon_soon(self._mqtrace.pending, "closed before the delivery report")

    async def __aenter__(self) -> Any:
        await super().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        try:
            return await super().__aexit__(*exception)
        finally:
            abandon_soon(self._mqtrace.pending, "closed before the delivery report")


#: Keywords of ``produce`` that the client does not ignore.
_TAKEN: Final = ("partition", "timestamp", "headers")


def _may_part(client: Any, topic: Any, message: dict[str, Any]) -> bool:
    """Whether a message may go out by itself: what a batch would refuse is left to it."""
    if client._is_closed or type(topic) is not str or not topic or "headers" in message or "timestamp" in message:
        return False
    return message.get("partition", -1) is not None and batches.can_part(Producer, [message])


# ---------------------------------------------------------------------- receiving


def _found(operation: Operation, messages: Iterable[Any]) -> Sequence[kafka.Found]:
    return [
        (context_of(operation, one).identity, one.topic(), one.value() is None, one.partition(), one.offset())
        for one in messages
        if one is not None and one.error() is None
    ]


class Reads(State):
    """What is ours of a traced consumer."""

    __slots__ = ("_options", "reading")

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = options
        self.reading = Reading(tracer, _found)

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.reading.endpoint = _endpoint(args, kwargs, self._options)

    def opened(self, client: Any) -> None:
        """Leave receive and settle spans to the Consumer within, where ``mqtrace run`` has put a traced one there."""
        self.reading.opts_in = not is_traced(type(client._consumer))


class TracedAIOConsumer(Traced):
    """See docs/confluent-aio.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Reads

    async def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client."""
        return await self._mqtrace.reading.watch(super().poll(*args, **kwargs))

    async def consume(self, *args: Any, **kwargs: Any) -> Any:
        """``consume`` of the client."""
        return await self._mqtrace.reading.watch(super().consume(*args, **kwargs), list)

    async def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return await self._mqtrace.reading.settled(super().commit(*args, **kwargs))

    async def subscribe(self, topics: Any, *args: Any, **kwargs: Any) -> Any:
        """``subscribe`` of the client; its callbacks are given this consumer, as they would be given the client."""
        if self._mqtrace.raw is not None:
            kwargs = {name: _handing(ref(self), given) if callable(given) else given for name, given in kwargs.items()}
        result = await super().subscribe(topics, *args, **kwargs)
        self._mqtrace.reading.reads(topics)
        return result

    async def assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """``assign`` of the client. In a callback of ``subscribe`` the subscription stays what it was."""
        result = await super().assign(partitions, *args, **kwargs)
        self._mqtrace.reading.reads_also(one.topic for one in partitions)
        return result

    async def incremental_assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """``incremental_assign`` of the client."""
        result = await super().incremental_assign(partitions, *args, **kwargs)
        self._mqtrace.reading.reads_also(one.topic for one in partitions)
        return result

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        try:
            return await super().close(*args, **kwargs)
        finally:
            self._mqtrace.reading.closed()

    async def __aenter__(self) -> Any:
        await super().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        try:
            return await super().__aexit__(*exception)
        finally:
            self._mqtrace.reading.closed()


def _handing(consumer: Callable[[], Any], callback: Callable[..., Any]) -> Callable[..., Any]:
    async def hand(raw: Any, *args: Any) -> Any:
        return await callback(consumer() or raw, *args)

    return hand
