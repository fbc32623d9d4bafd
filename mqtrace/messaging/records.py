"""Kafka's records as aiokafka and kafka-python have them: objects of plain attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mqtrace.core import NoopSpan, ProcessSpan, start_process, start_process_in

from . import kafka
from .batch import Batch
from .kafka import plain_context, tombstone
from .operation import Operation

__all__ = ["RECORDS", "found_in"]


class KafkaRecords:
    """The :class:`~mqtrace.messaging.MessageAdapter` of such records."""

    def begin(self, operation: Operation, record: Any) -> ProcessSpan | NoopSpan:
        """Start the process span of a record."""
        topic = record.topic
        template = operation.templates.get(topic)
        if template is None:
            template = kafka.template_of(operation, record, topic)
        size = record.serialized_value_size
        if record.value is None if size is None else size < 0:  # is_tombstone, without the call
            template = tombstone(template)
        headers = record.headers
        if not headers:
            return start_process(template, None, None, None, record.partition, record.offset, record.timestamp)
        baggage = None
        if operation.w3c_only and (found := plain_context(headers)) is not None:
            origin, state = found
        else:
            context = kafka.extract(operation, list(headers))
            if context.decision != "flag":  # B3 left it open, or decided it without a trace
                return start_process_in(template, context, record.partition, record.offset, record.timestamp)
            origin, state, baggage = context.identity, context.state, context.baggage
        return start_process(template, origin, state, baggage, record.partition, record.offset, record.timestamp)

    def collect(self, operation: Operation, records: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        known = [record for record in records if record is not None]
        return kafka.batch_of(known[0], found_in(operation, known)) if known else None


def is_tombstone(record: Any) -> bool:
    """Whether a record has no value. What a deserializer makes of none, or None of, says nothing of that."""
    return record.value is None if record.serialized_value_size is None else record.serialized_value_size < 0


def found_in(operation: Operation, records: Iterable[Any]) -> list[kafka.Found]:
    """What a batch or a receive span says of these records."""
    found: list[kafka.Found] = []
    for record in records:
        headers = record.headers
        identity: bytes | None = None
        if headers:
            plain = plain_context(headers) if operation.w3c_only else None
            identity = kafka.extract(operation, list(headers)).identity if plain is None else plain[0]
        found.append((identity, record.topic, is_tombstone(record), record.partition, record.offset))
    return found


RECORDS: Final = KafkaRecords()
