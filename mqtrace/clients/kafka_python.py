"""kafka-python: producers and consumers, as objects and as classes.

A send span ends with the future of its message, on the client's own thread. Which servers, client id and group a client
has, it says itself (``config``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # it ships no types
from kafka.consumer.fetcher import ConsumerRecord  # type: ignore[import-untyped]  # ditto

from mqtrace.core import SendSpan
from mqtrace.messaging import end, kafka, registry_of
from mqtrace.messaging.reading import Reading, by_partition
from mqtrace.messaging.records import RECORDS, batch_members
from mqtrace.tracer import SpanTracer

from .kafka_clients import SendsToKafka, Subscribing, wrap_one_of
from .options import expect
from .proxy import State, Traced

__all__ = ["adapter_of", "wrap"]


#: The adapter of kafka-python's ConsumerRecord.
adapter_of = registry_of(ConsumerRecord, RECORDS)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    expect(options, (), "a client of kafka-python takes no options")
    clients = (
        (KafkaProducer, TracedProducer, partial(Sends, tracer)),
        (KafkaConsumer, TracedConsumer, partial(Reads, tracer)),
    )
    return wrap_one_of(clients, client, shared=tracer is None)


class Closing(Traced):
    """What is traced of a client's end, by the ``closed`` of its state."""

    __slots__ = ()

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        try:
            return super().close(*args, **kwargs)
        finally:
            self._mqtrace.closed()


# ---------------------------------------------------------------------- sending


class Sending(SendSpan):
    """The span of a message. It is the callback of the message's future, for a result and for an error."""

    __slots__ = ()

    def __call__(self, report: Any) -> None:
        """The future is done. ``report``: its RecordMetadata, or the error."""
        if isinstance(report, BaseException):
            end(self, report)
        else:
            self.delivered(report.partition, report.offset)


class Sends(SendsToKafka):
    """What is ours of a traced producer."""

    __slots__ = ()

    def opened(self, client: Any) -> None:
        """Note what the client was configured with."""
        self.endpoint = kafka.endpoint_of(client.config)

    def closed(self) -> None:
        """The client is closed: what has no report by now has none."""
        self.pending.abandon("closed before the delivery report")


class TracedProducer(Closing):
    """See docs/kafka-python.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Sends

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
        sends = self._mqtrace
        span = sends.begin(topic, value, Sending)
        headers = kafka.with_context_in_list(sends.operation, span, headers)
        if type(span) is not Sending:
            # headers by name: OpenTelemetry's instrumentation, where it is on, adds them by name if there are none
            return super().send(topic, value, key, headers=headers, partition=partition, timestamp_ms=timestamp_ms)
        sends.pending.hold(span)
        try:
            future = super().send(topic, value, key, headers=headers, partition=partition, timestamp_ms=timestamp_ms)
        except BaseException as error:
            end(span, error)
            raise
        future.add_both(span)
        return future


# ---------------------------------------------------------------------- receiving


class Reads(State):
    """What is ours of a traced consumer. ``within``: whether a ``next`` is at work, which polls by itself."""

    __slots__ = ("closed", "reading", "within")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self.reading = Reading(tracer, batch_members)
        self.closed = self.reading.closed
        self.within = False

    def opened(self, client: Any) -> None:
        """Note what the client was configured with, and what it reads: topics may be given to its constructor."""
        self.reading.endpoint = kafka.endpoint_of(client.config)
        self.reading.reads([*(client.subscription() or ()), *(one.topic for one in client.assignment())])


class TracedConsumer(Closing, Subscribing):
    """See docs/kafka-python.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Reads

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client: lists of records by partition."""
        reads = self._mqtrace
        call = partial(super().poll, *args, **kwargs)
        return call() if reads.within else reads.reading.watch_call(call, by_partition)

    def __next__(self) -> Any:
        reads = self._mqtrace
        reads.within = True
        try:
            return reads.reading.watch_call(super().__next__)
        finally:
            reads.within = False

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return self._mqtrace.reading.commit_call(partial(super().commit, *args, **kwargs))
