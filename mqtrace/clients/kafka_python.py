"""kafka-python: producers and consumers, as objects and as classes.

A send span ends with the future of its message, on the client's thread. The servers, client id and group are read from
the client (``config``), unless ``wrap`` is told others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # it ships no types
from kafka.consumer.fetcher import ConsumerRecord  # type: ignore[import-untyped]  # ditto

from mqtrace.core import SendSpan
from mqtrace.messaging import end, kafka, registry_of
from mqtrace.messaging.reading import Reading, by_partition
from mqtrace.messaging.records import RECORDS, batch_members
from mqtrace.tracer import SpanTracer

from .kafka_clients import KafkaProducerState, TracedClose, TracedSubscriptions, wrap_one_of
from .options import expect
from .proxy import State

__all__ = ["adapter_of", "wrap"]

#: The options of `wrap`, as of the other clients of Kafka.
_OPTIONS: Final = ("client_id", "group_id", "bootstrap_servers")


#: The adapter of kafka-python's ConsumerRecord.
adapter_of = registry_of(ConsumerRecord, RECORDS)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    expect(options, _OPTIONS, f"for kafka-python write {list(_OPTIONS)}")
    clients = (
        (KafkaProducer, TracedProducer, partial(ProducerState, tracer, options)),
        (KafkaConsumer, TracedConsumer, partial(ConsumerState, tracer, options)),
    )
    return wrap_one_of(clients, client, shared=tracer is None and not options)


# ---------------------------------------------------------------------- sending


class FutureSend(SendSpan):
    """The span of a message. It is the callback of the message's future, for a result and for an error."""

    __slots__ = ()

    def __call__(self, report: Any) -> None:
        """The future is done. ``report``: its RecordMetadata, or the error."""
        if isinstance(report, BaseException):
            end(self, report)
        else:
            self.delivered(report.partition, report.offset)


class ProducerState(KafkaProducerState):
    """The state of a traced producer. ``options``: what its spans say instead of what the client does."""

    __slots__ = ("_options",)

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__(tracer)
        self._options = options

    def opened(self, client: Any) -> None:
        """Note what the client was configured with."""
        self.endpoint = kafka.endpoint_of({**client.config, **self._options})

    def closed(self) -> None:
        """End the spans of messages without a report: as far as is known these were not delivered."""
        self.pending.abandon("closed before the delivery report")


class TracedProducer(TracedClose):
    """See docs/kafka-python.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ProducerState

    def send(
        self,
        topic: Any,
        value: Any = None,
        key: Any = None,
        headers: Any = None,
        partition: Any = None,
        timestamp_ms: Any = None,
    ) -> Any:
        """``send`` of the client: same arguments in the same order, same errors, the client's own future."""
        state = self._mqtrace
        span = state.start(topic, value, FutureSend)
        headers = kafka.with_context_in_list(state.operation, span, headers)
        if type(span) is not FutureSend:
            # headers by name: OpenTelemetry's instrumentation, if it is on, adds the name if there is none
            return super().send(topic, value, key, headers=headers, partition=partition, timestamp_ms=timestamp_ms)
        state.pending.hold(span)
        try:
            future = super().send(topic, value, key, headers=headers, partition=partition, timestamp_ms=timestamp_ms)
        except BaseException as error:
            end(span, error)
            raise
        future.add_both(span)
        return future


# ---------------------------------------------------------------------- receiving


class ConsumerState(State):
    """The state of a traced consumer. ``within_next``: whether a ``next`` is running, which calls ``poll``."""

    __slots__ = ("_options", "closed", "reading", "within_next")

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = options
        self.reading = Reading(tracer, batch_members)
        self.closed = self.reading.closed
        self.within_next = False

    def opened(self, client: Any) -> None:
        """Note what the client was configured with, and what it reads already: its constructor may take topics."""
        self.reading.endpoint = kafka.endpoint_of({**client.config, **self._options})
        assigned = (partition.topic for partition in client.assignment())
        self.reading.set_topics([*(client.subscription() or ()), *assigned])


class TracedConsumer(TracedClose, TracedSubscriptions):
    """See docs/kafka-python.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ConsumerState

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client: lists of records by partition."""
        state = self._mqtrace
        call = partial(super().poll, *args, **kwargs)
        return call() if state.within_next else state.reading.watch_call(call, by_partition)

    def __next__(self) -> Any:
        state = self._mqtrace
        state.within_next = True
        try:
            return state.reading.watch_call(super().__next__)
        finally:
            state.within_next = False

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return self._mqtrace.reading.commit_call(partial(super().commit, *args, **kwargs))
