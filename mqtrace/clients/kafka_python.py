"""kafka-python: producers and consumers, as objects and as classes.

A send span ends with the future of its message, on the client's own thread. Which servers, client id and group a client
has, it says itself (``config``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # it ships no types
from kafka.consumer.fetcher import ConsumerRecord  # type: ignore[import-untyped]  # ditto

from mqtrace.core import SendSpan, Template, start_send
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import NOTHING_KNOWN, MessageAdapter, Operation, end, kafka, register
from mqtrace.messaging.pending import Pending
from mqtrace.messaging.reading import Reading, by_partition
from mqtrace.messaging.records import RECORDS, found_in
from mqtrace.tracer import SpanTracer

from .proxy import State, Traced, stand_in, traced_kind

__all__ = ["adapter_of", "wrap"]


def adapter_of(kind: type) -> MessageAdapter | None:
    """The adapter of kafka-python's ConsumerRecord."""
    if issubclass(kind, ConsumerRecord):
        register(kind, RECORDS)
        return RECORDS
    return None


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    if options:
        raise ConfigurationError(f"wrap() does not know {sorted(options)}: a client of kafka-python says all itself")
    kind = client if isinstance(client, type) else type(client)
    for base, traced, make in _CLIENTS:
        if issubclass(kind, base) and kind is client:
            return traced_kind(kind, base, traced, partial(make, tracer), shared=tracer is None)
        if issubclass(kind, base):
            state = make(tracer)
            state.opened(client)
            return stand_in(traced, client, state)
    return None


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


class Sends(State):
    """What is ours of a traced producer."""

    __slots__ = ("endpoint", "operation", "pending")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self.endpoint = NOTHING_KNOWN
        self.operation = Operation("send", tracer)
        self.pending = Pending(self.operation)

    def opened(self, client: Any) -> None:
        """Note what the client was configured with."""
        self.endpoint = kafka.endpoint_of(client.config)

    def template(self, topic: Any) -> Template:
        """The template of a topic, made."""
        self.pending.attend()
        name = topic if isinstance(topic, str) else None
        return self.operation.make(name, kafka.SYSTEM, "send", str(topic), self.endpoint)

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
        operation = sends.operation
        template = operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = sends.template(topic)
        span = start_send(template if value is not None else kafka.tombstone(template), Sending)
        headers = kafka.with_context_in_list(operation, span, headers)
        if type(span) is not Sending:
            return super().send(topic, value, key, headers, partition, timestamp_ms)
        sends.pending.hold(span)
        try:
            future = super().send(topic, value, key, headers, partition, timestamp_ms)
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
        self.reading = Reading(tracer, found_in)
        self.closed = self.reading.closed
        self.within = False

    def opened(self, client: Any) -> None:
        """Note what the client was configured with, and what it reads: topics may be given to its constructor."""
        self.reading.endpoint = kafka.endpoint_of(client.config)
        self.reading.reads([*(client.subscription() or ()), *(one.topic for one in client.assignment())])


class TracedConsumer(Closing):
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
        return self._mqtrace.reading.settle_call(partial(super().commit, *args, **kwargs))

    def subscribe(self, topics: Any = (), pattern: Any = None, listener: Any = None) -> Any:
        """``subscribe`` of the client. A pattern is one from the beginning of a topic's name."""
        result = super().subscribe(topics, pattern, listener)
        self._mqtrace.reading.reads(topics if pattern is None else [f"^(?:{pattern})"])
        return result

    def assign(self, partitions: Any) -> Any:
        """``assign`` of the client."""
        result = super().assign(partitions)
        self._mqtrace.reading.reads(one.topic for one in partitions)
        return result


_CLIENTS: Final[Any] = ((KafkaProducer, TracedProducer, Sends), (KafkaConsumer, TracedConsumer, Reads))
