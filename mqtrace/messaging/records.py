"""The records of aiokafka and kafka-python: objects with attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mqtrace.core import NoopSpan, ProcessSpan, start_process, start_process_in

from . import kafka
from .batch import Batch
from .kafka import tombstone, w3c_context
from .operation import Operation

__all__ = ["RECORDS", "batch_members"]


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
        if operation.w3c_only and (w3c := w3c_context(headers)) is not None:
            origin, state = w3c
        else:
            context = kafka.extract(operation, list(headers))
            if context.decision != "flag":  # B3 left it open, or decided it without a trace
                return start_process_in(template, context, record.partition, record.offset, record.timestamp)
            origin, state, baggage = context.identity, context.state, context.baggage
        return start_process(template, origin, state, baggage, record.partition, record.offset, record.timestamp)

    def collect(self, operation: Operation, records: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        messages = [record for record in records if record is not None]
        return kafka.batch_of(messages[0], batch_members(operation, messages)) if messages else None


def is_tombstone(record: Any) -> bool:
    """Whether a record has no value on the broker, whatever a deserializer returned for it."""
    return record.value is None if record.serialized_value_size is None else record.serialized_value_size < 0


def batch_members(operation: Operation, records: Iterable[Any]) -> list[kafka.BatchMember]:
    """The records as members of a batch or of a receive span."""
    members: list[kafka.BatchMember] = []
    for record in records:
        headers = record.headers
        identity: bytes | None = None
        if headers:
            w3c = w3c_context(headers) if operation.w3c_only else None
            identity = kafka.extract(operation, list(headers)).identity if w3c is None else w3c[0]
        members.append((identity, record.topic, is_tombstone(record), record.partition, record.offset))
    return members


RECORDS: Final = KafkaRecords()
