"""aiokafka: producers and consumers, as objects and as classes.

A send span ends with the future of its message. A subclass that overrides traced methods is traced below its own: its
``super()`` reaches the traced class.
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
from mqtrace.messaging import as_text, end, kafka, registry_of
from mqtrace.messaging.attributes import BATCH_COUNT
from mqtrace.messaging.futures import FutureBatchSpan, FutureSpan, until_done
from mqtrace.messaging.reading import by_partition
from mqtrace.messaging.records import RECORDS
from mqtrace.tracer import SpanTracer

from .async_kafka_clients import AsyncConsumerState, AsyncProducerState, TracedStop
from .kafka_clients import TracedSubscriptions, wrap_one_of
from .options import expect
from .proxy import State, Traced, is_traced, stand_in

__all__ = ["adapter_of", "wrap"]

#: The options of `wrap`: what an instance does not show of its configuration.
_OPTIONS: Final = ("client_id", "group_id", "bootstrap_servers")
_SEND_PARAMETERS: Final = [*inspect.signature(AIOKafkaProducer.send).parameters]

#: The adapter of aiokafka's ConsumerRecord.
adapter_of = registry_of(ConsumerRecord, RECORDS)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    expect(options, _OPTIONS, f"for aiokafka write {list(_OPTIONS)}")
    methods = TracedBatches if _has_other_send(client) else TracedProducer
    clients = (
        (AIOKafkaProducer, methods, partial(AsyncProducerState, tracer, options)),
        (AIOKafkaConsumer, TracedConsumer, partial(ConsumerState, tracer, options)),
    )
    return wrap_one_of(clients, client, shared=tracer is None and not options)


def _has_other_send(client: Any) -> bool:
    """Whether this is a producer whose class overrides ``send`` with other arguments than the client's."""
    send = getattr(type(client), "send", AIOKafkaProducer.send)
    return [*inspect.signature(send).parameters][: len(_SEND_PARAMETERS)] != _SEND_PARAMETERS


# ---------------------------------------------------------------------- sending


class FutureSend(FutureSpan):
    """The span of a message. It ends with the message's future."""

    __slots__ = ()

    def place(self, report: Any) -> tuple[int, int]:
        """Partition and offset of a RecordMetadata, which is None if the broker does not answer (``acks=0``)."""
        return (-1, -1) if report is None else (report.partition, report.offset)


class TracedBatches(TracedStop):
    """The traced methods of every producer, even of one whose ``send`` takes other arguments than the client's."""

    __slots__ = ()
    _mqtrace: AsyncProducerState

    def create_batch(self) -> Any:
        """``create_batch`` of the client: a builder whose every message has a create span and a context."""
        return stand_in(TracedBuilder, super().create_batch(), BuilderState(self._mqtrace))

    async def send_batch(self, batch: Any, topic: Any, *, partition: Any) -> Any:
        """``send_batch`` of the client: one CLIENT span that links to every create span (conventions, "Batch sending").

        The messages of a builder that an untraced client made carry no context, and the span links to none.
        """
        state = self._mqtrace
        key = ("batch", as_text(topic))
        template = state.operation.templates.get(key) or state.template(key, topic, "client")
        origins: list[Origin] = []
        if is_traced(type(batch)):
            builder: BuilderState = batch._mqtrace
            batch, origins = builder.raw, builder.origins
        call = super().send_batch(batch, topic, partition=partition)
        span = start(template, current_frame(), FutureBatchSpan)
        if not isinstance(span, FutureBatchSpan):
            return await call
        span.origins = origins
        if isinstance(batch, BatchBuilder):
            span.set_attribute(BATCH_COUNT, batch.record_count())
        return await until_done(call, span, state.pending)


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
        state = self._mqtrace
        span = state.start(topic, value, FutureSend)
        if span is not None:
            headers = kafka.with_context_in_list(state.operation, span, headers or None)
        client: Any = super() if state.raw is None else state.raw  # in a proxy, super() takes as long as the span
        if type(span) is not FutureSend:
            return await client.send(topic, value, key, partition, timestamp_ms, headers)
        pending = state.pending
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


class BuilderState(State):
    """The state of a builder of a batch. ``producer``: of its producer. ``origins``: the links to its messages."""

    __slots__ = ("origins", "producer")

    def __init__(self, producer: AsyncProducerState) -> None:
        super().__init__()
        self.producer = producer
        self.origins: list[Origin] = []


class TracedBuilder(Traced):
    """A builder of a batch. Its topic is not known before it is sent, so create spans have no destination."""

    __slots__ = ()
    _mqtrace: BuilderState

    def append(self, *, timestamp: Any, key: Any, value: Any, headers: Any = None) -> Any:
        """``append`` of the client: None, and no span, if the batch is full or closed."""
        builder = self._mqtrace
        producer = builder.producer
        template = producer.operation.templates.get(_CREATE) or producer.operation.make(
            _CREATE, kafka.SYSTEM, "create", None, producer.endpoint, verb="create"
        )
        span = start(template, current_frame(), Span)
        try:
            headers = kafka.with_context_in_list(producer.operation, span, headers or None)
            metadata = super().append(timestamp=timestamp, key=key, value=value, headers=headers)
        except BaseException as error:
            end(span, error)
            raise
        if metadata is not None and isinstance(span, Span):
            builder.origins.append((span.identity, -1, -1, None))
            span.end()
        return metadata


_CREATE: Final = ("create",)


class ConsumerState(AsyncConsumerState):
    """The state of a traced consumer."""

    __slots__ = ()

    def opened(self, client: Any) -> None:
        """Note what the client reads already: its constructor may take topics."""
        self.reading.set_topics([*client.subscription(), *(partition.topic for partition in client.assignment())])


class TracedConsumer(TracedStop, TracedSubscriptions):
    """See docs/aiokafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ConsumerState

    async def getone(self, *partitions: Any) -> Any:
        """``getone`` of the client."""
        state = self._mqtrace
        client: Any = super() if state.raw is None else state.raw  # as in send
        call = client.getone(*partitions)
        return await (state.reading.watch(call) if state.reading.is_watched else call)

    async def getmany(self, *partitions: Any, **kwargs: Any) -> Any:
        """``getmany`` of the client."""
        return await self._mqtrace.reading.watch(super().getmany(*partitions, **kwargs), by_partition)

    async def __anext__(self) -> Any:
        state = self._mqtrace
        if state.raw is None:
            return await super().__anext__()  # which calls the traced getone
        call = state.raw.__anext__()
        return await (state.reading.watch(call) if state.reading.is_watched else call)

    async def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return await self._mqtrace.reading.commit(super().commit(*args, **kwargs))
