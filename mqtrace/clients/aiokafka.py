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

from mqtrace.core import Origin, Span, current_frame, start
from mqtrace.messaging import Endpoint, end, kafka, registry_of
from mqtrace.messaging.attributes import BATCH_COUNT
from mqtrace.messaging.futures import FutureBatchSpan, FutureSpan, until_done
from mqtrace.messaging.reading import by_partition
from mqtrace.messaging.records import RECORDS, batch_members
from mqtrace.tracer import SpanTracer

from .awaiting import AsyncReads, AsyncSends, Stopped
from .kafka_clients import Subscribing, wrap_one_of
from .options import expect
from .proxy import State, Traced, is_traced, stand_in

__all__ = ["adapter_of", "wrap"]

#: What an instance does not show and `wrap` may be told.
_OPTIONS: Final = ("client_id", "group_id", "bootstrap_servers")
_SEND: Final = [*inspect.signature(AIOKafkaProducer.send).parameters]

#: The adapter of aiokafka's ConsumerRecord.
adapter_of = registry_of(ConsumerRecord, RECORDS)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    expect(options, _OPTIONS, f"for aiokafka write {list(_OPTIONS)}")
    clients = (
        (
            AIOKafkaProducer,
            TracedBatches if _sends_otherwise(client) else TracedProducer,
            partial(Sends, tracer, options),
        ),
        (AIOKafkaConsumer, TracedConsumer, partial(Reads, tracer, options)),
    )
    return wrap_one_of(clients, client, shared=tracer is None and not options)


def _sends_otherwise(client: Any) -> bool:
    """Whether this is a producer whose ``send`` has arguments of its own, which nobody else knows."""
    send = getattr(type(client), "send", AIOKafkaProducer.send)
    return [*inspect.signature(send).parameters][: len(_SEND)] != _SEND


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
        span = sends.begin(topic, value, Sending)
        if span is not None:
            headers = kafka.with_context_in_list(sends.operation, span, headers or None)
        client: Any = super() if sends.raw is None else sends.raw  # of a proxy, super() takes as long as the span
        if type(span) is not Sending:
            return await client.send(topic, value, key, partition, timestamp_ms, headers)
        pending = sends.pending
        pending.hold(span)
        try:
            future = await client.send(topic, value, key, partition, timestamp_ms, headers)
        except BaseException as error:
            end(span, error)
            raise
        span.pending = pending
        future.add_done_callback(span)
        return future

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
            headers = kafka.with_context_in_list(sends.operation, span, headers or None)
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
    members = staticmethod(batch_members)

    def endpoint_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Endpoint:
        """See docs/aiokafka.md."""
        return kafka.endpoint_of({**kwargs, **self.options})

    def opened(self, client: Any) -> None:
        """Note what the client reads by now: topics may be given to its constructor."""
        self.reading.reads([*client.subscription(), *(one.topic for one in client.assignment())])


class TracedConsumer(Stopped, Subscribing):
    """See docs/aiokafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Reads

    async def getone(self, *partitions: Any) -> Any:
        """``getone`` of the client."""
        reads = self._mqtrace
        client: Any = super() if reads.raw is None else reads.raw  # as in send
        call = client.getone(*partitions)
        return await (reads.reading.watch(call) if reads.reading.watched else call)

    async def getmany(self, *partitions: Any, **kwargs: Any) -> Any:
        """``getmany`` of the client."""
        return await self._mqtrace.reading.watch(super().getmany(*partitions, **kwargs), by_partition)

    async def __anext__(self) -> Any:
        reads = self._mqtrace
        if reads.raw is None:
            return await super().__anext__()  # which is a getone, and that is traced
        call = reads.raw.__anext__()
        return await (reads.reading.watch(call) if reads.reading.watched else call)

    async def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return await self._mqtrace.reading.commit(super().commit(*args, **kwargs))
