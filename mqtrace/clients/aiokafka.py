"""aiokafka: producers and consumers, as objects and as classes.

A send span ends when the future of its message does. A subclass that overrides what is traced is traced beneath that:
its ``super()`` is the traced class.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # it ships no types
from aiokafka.producer.message_accumulator import BatchBuilder  # type: ignore[import-untyped]  # ditto
from aiokafka.structs import ConsumerRecord  # type: ignore[import-untyped]  # ditto

from mqtrace.core import NoopSpan, Origin, Span, current_frame, start, start_send
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import Endpoint, MessageAdapter, end, kafka, register
from mqtrace.messaging.attributes import BATCH_COUNT
from mqtrace.messaging.futures import FutureBatchSpan, FutureSpan, until_done
from mqtrace.messaging.reading import by_partition
from mqtrace.messaging.records import RECORDS, found_in
from mqtrace.tracer import SpanTracer

from .awaiting import AsyncReads, AsyncSends, Stopped
from .proxy import State, Traced, is_traced, stand_in, traced_kind

__all__ = ["adapter_of", "wrap"]

#: What an instance does not show and `wrap` may be told.
_OPTIONS: Final = ("client_id", "group_id", "bootstrap_servers")
_SEND: Final = [*inspect.signature(AIOKafkaProducer.send).parameters]


def adapter_of(kind: type) -> MessageAdapter | None:
    """The adapter of aiokafka's ConsumerRecord."""
    if issubclass(kind, ConsumerRecord):
        register(kind, RECORDS)
        return RECORDS
    return None


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    unknown = options.keys() - set(_OPTIONS)
    if unknown:
        raise ConfigurationError(f"wrap() does not know {sorted(unknown)}: for aiokafka write {list(_OPTIONS)}")
    kind = client if isinstance(client, type) else type(client)
    for base, traced, make in _CLIENTS:
        if issubclass(kind, base):
            if kind is client:
                shared = tracer is None and not options
                return traced_kind(kind, base, traced, partial(make, tracer, options), shared=shared)
            state = make(tracer, options)
            state.configure((), {})
            state.opened(client)
            sends: Any = type(client)
            if traced is TracedProducer and [*inspect.signature(sends.send).parameters][: len(_SEND)] != _SEND:
                traced = TracedBatches
            return stand_in(traced, client, state)
    return None


# ---------------------------------------------------------------------- sending


class Sending(FutureSpan):
    """The span of a message."""

    __slots__ = ()

    def place(self, report: Any) -> tuple[int, int]:
        """Of a RecordMetadata; it is None where the broker does not answer (``acks=0``)."""
        return (-1, -1) if report is None else (report.partition, report.offset)


class Sends(AsyncSends):
    """What is ours of a traced producer."""

    __slots__ = ()

    def endpoint_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Endpoint:
        """See docs/aiokafka.md."""
        return kafka.endpoint_of({**kwargs, **self.options})

    def headers(self, span: Span | NoopSpan | bytes | None, headers: Any) -> Any:
        """The user's headers with the context in them, in a copy; what the client will refuse is left to it."""
        return headers if span is None else kafka.with_context_in_list(self.operation, span, headers or None)


class TracedBatches(Stopped):
    """What is traced of every producer, of one with a ``send`` of its own too."""

    __slots__ = ()
    _mqtrace: Sends

    def create_batch(self) -> Any:
        """``create_batch`` of the client: a builder whose every message has a create span and a context."""
        return stand_in(TracedBuilder, super().create_batch(), Builds(self._mqtrace))

    async def send_batch(self, batch: Any, topic: Any, *, partition: Any) -> Any:
        """``send_batch`` of the client: one CLIENT span that links to every create span (conventions, "Batch sending").

        The messages of a builder that the bare client made carry no context, and nothing is linked.
        """
        sends = self._mqtrace
        key = ("batch", str(topic))
        template = sends.operation.templates.get(key) or sends.template(key, topic, "client")
        origins: list[Origin] = []
        if is_traced(type(batch)):
            builds: Builds = batch._mqtrace
            batch, origins = builds.raw, builds.origins
        call = super().send_batch(batch, topic, partition=partition)
        span = start(template, current_frame(), FutureBatchSpan)
        if not isinstance(span, FutureBatchSpan):
            return await call
        span.origins = origins
        if isinstance(batch, BatchBuilder):
            span.set_attribute(BATCH_COUNT, batch.record_count())
        return await until_done(call, span, sends.pending)


class TracedProducer(TracedBatches):
    """See docs/aiokafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()

    async def send(
        self,
        topic: Any,
        value: Any = None,
        key: Any = None,
        partition: Any = None,
        timestamp_ms: Any = None,
        headers: Any = None,
    ) -> Any:
        """``send`` of the client: same arguments, same errors, the client's own future."""
        sends = self._mqtrace
        template = sends.operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = sends.template(topic if type(topic) is str else None, topic)
        span = start_send(template if value is not None else kafka.tombstone(template), Sending)
        call = super().send(topic, value, key, partition, timestamp_ms, sends.headers(span, headers))
        return await (until_done(call, span, sends.pending) if type(span) is Sending else call)

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> Any:
        """``send_and_wait`` of the client, by the traced ``send``."""
        raw = self._mqtrace.raw
        if raw is None or type(raw).send_and_wait is not AIOKafkaProducer.send_and_wait:
            return await super().send_and_wait(*args, **kwargs)
        return await (await self.send(*args, **kwargs))


class Builds(State):
    """What is ours of a builder of a batch. ``origins``: of every message that was created."""

    __slots__ = ("origins", "sends")

    def __init__(self, sends: Sends) -> None:
        super().__init__()
        self.sends = sends
        self.origins: list[Origin] = []


class TracedBuilder(Traced):
    """A builder of a batch. Its topic is not known before it is sent, so no create span says it."""

    __slots__ = ()
    _mqtrace: Builds

    def append(self, *, timestamp: Any, key: Any, value: Any, headers: Any = None) -> Any:
        """``append`` of the client; None, and no span, where the batch is full or closed."""
        builds = self._mqtrace
        sends = builds.sends
        template = sends.operation.templates.get(_CREATE) or sends.operation.make(
            _CREATE, kafka.SYSTEM, "create", None, sends.endpoint, verb="create"
        )
        span = start(template, current_frame(), Span)
        try:
            headers = sends.headers(span, headers)
            made = super().append(timestamp=timestamp, key=key, value=value, headers=headers)
        except BaseException as error:
            end(span, error)
            raise
        if made is not None and isinstance(span, Span):
            builds.origins.append((span.identity, -1, -1, None))
            span.end()
        return made


_CREATE: Final = ("create",)


class Reads(AsyncReads):
    """What is ours of a traced consumer."""

    __slots__ = ()
    found = staticmethod(found_in)

    def endpoint_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Endpoint:
        """See docs/aiokafka.md."""
        return kafka.endpoint_of({**kwargs, **self.options})

    def opened(self, client: Any) -> None:
        """Note what the client reads by now: topics may be given to its constructor."""
        self.reading.reads([*client.subscription(), *(one.topic for one in client.assignment())])


class TracedConsumer(Stopped):
    """See docs/aiokafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Reads

    async def getone(self, *partitions: Any) -> Any:
        """``getone`` of the client."""
        return await self._mqtrace.reading.watch(super().getone(*partitions))

    async def getmany(self, *partitions: Any, **kwargs: Any) -> Any:
        """``getmany`` of the client."""
        return await self._mqtrace.reading.watch(super().getmany(*partitions, **kwargs), by_partition)

    async def __anext__(self) -> Any:
        call = super().__anext__()  # which is a getone, of a traced class the traced one
        return await (call if self._mqtrace.raw is None else self._mqtrace.reading.watch(call))

    async def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return await self._mqtrace.reading.settled(super().commit(*args, **kwargs))

    def subscribe(self, topics: Any = (), pattern: Any = None, listener: Any = None) -> Any:
        """``subscribe`` of the client. A pattern is one from the beginning of a topic's name."""
        result = super().subscribe(topics, pattern, listener)
        expression = getattr(pattern, "pattern", pattern)
        self._mqtrace.reading.reads(topics if expression is None else [f"^(?:{expression})"])
        return result

    def assign(self, partitions: Any) -> Any:
        """``assign`` of the client."""
        result = super().assign(partitions)
        self._mqtrace.reading.reads(one.topic for one in partitions)
        return result


_CLIENTS: Final[tuple[tuple[type, type[Traced], type[Sends | Reads]], ...]] = (
    (AIOKafkaProducer, TracedProducer, Sends),
    (AIOKafkaConsumer, TracedConsumer, Reads),
)
