"""Spans as rows of columns, to keep and query millions of them (mqtrace.flow).

A row is a list in the order of :data:`COLUMNS`. Attributes that questions use have a column each; all others are JSON
in ``rest``. An attribute that its column holds exactly is left out of ``rest``, because values that differ from span to
span (offset, latency, message id) would make each ``rest`` different.

Ids are unsigned integers: a trace id in two halves of 64 bits, ``t_hi`` and ``t_lo``, a span id in one. ``role`` is
what a span is to a message; ``m_hi``, ``m_lo`` and ``m_span`` are the message's context, as far as it differs from the
span's: None stands for the span's own trace, and for its own id (a send) or its parent's (a delivery). Names of older
conventions (before 1.26) and other libraries are read into the same columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "ATTRIBUTES",
    "BLANK",
    "COLUMNS",
    "LEGACY",
    "LEGACY_OPERATIONS",
    "LINK_COLUMNS",
    "NO_ROLE",
    "RECEIVED",
    "RECEIVED_MANY",
    "SENT",
    "Columns",
]

#: Name and SQL type. ``n`` is the number of the row, None here: a store of rows sets it.
COLUMNS: Final[Mapping[str, str]] = {
    "n": "BIGINT",
    "t_hi": "UBIGINT",
    "t_lo": "UBIGINT",
    "span": "UBIGINT",
    "parent": "UBIGINT",
    "start_ns": "BIGINT",
    "duration_ns": "BIGINT",
    "kind": "UTINYINT",  # Span.SpanKind; 0 is 1, as the specification says
    "name": "VARCHAR",
    "service": "VARCHAR",
    "status": "UTINYINT",  # Status.StatusCode
    "error_type": "VARCHAR",
    "system": "VARCHAR",
    "operation": "VARCHAR",  # messaging.operation.type
    "destination": "VARCHAR",
    "part": "VARCHAR",  # messaging.destination.partition.id
    "pos": "BIGINT",  # messaging.kafka.offset
    "consumer_group": "VARCHAR",
    "batch": "BIGINT",
    "latency_ms": "DOUBLE",
    "retry": "BIGINT",
    "delay_s": "DOUBLE",
    "dead": "BIGINT",  # mqtrace.dead_letter.count, .queue, .reason
    "dead_queue": "VARCHAR",
    "dead_reason": "VARCHAR",
    "message_id": "VARCHAR",
    "server": "VARCHAR",
    "trace_state": "VARCHAR",
    "threshold": "UBIGINT",  # `ot=th:` of the tracestate, of 56 bits
    "role": "UTINYINT",
    "linked": "BOOLEAN",  # one link without attributes, to the message's context: kept nowhere else
    "m_hi": "UBIGINT",
    "m_lo": "UBIGINT",
    "m_span": "UBIGINT",
    "rest": "VARCHAR",  # JSON: a(ttributes), e(vents), d(escription of the status), s(cope)
}
#: The columns of a link that is not part of its span's row. ``n``: that row's; here its index among the rows.
LINK_COLUMNS: Final[Mapping[str, str]] = {
    "n": "BIGINT",
    "place": "INTEGER",
    "start_ns": "BIGINT",  # of the span
    "m_hi": "UBIGINT",
    "m_lo": "UBIGINT",
    "m_span": "UBIGINT",
    "destination": "VARCHAR",
    "part": "VARCHAR",
    "pos": "BIGINT",
    "rest": "VARCHAR",  # its attributes
}

#: The roles of a span: none, a message's send, a message's delivery, the delivery of each message that it links to.
NO_ROLE: Final = 0
SENT: Final = 1
RECEIVED: Final = 2
RECEIVED_MANY: Final = 3

#: Attributes with a column, and the type of value that it holds exactly.
ATTRIBUTES: Final[Mapping[str, tuple[str, type]]] = {
    "error.type": ("error_type", str),
    "messaging.system": ("system", str),
    "messaging.operation.type": ("operation", str),
    "messaging.destination.name": ("destination", str),
    "messaging.destination.partition.id": ("part", str),
    "messaging.kafka.offset": ("pos", int),
    "messaging.consumer.group.name": ("consumer_group", str),
    "messaging.batch.message_count": ("batch", int),
    "messaging.message.receive.latency": ("latency_ms", float),
    "messaging.message.retry.count": ("retry", int),
    "mqtrace.delay": ("delay_s", float),
    "mqtrace.dead_letter.count": ("dead", int),
    "mqtrace.dead_letter.queue": ("dead_queue", str),
    "mqtrace.dead_letter.reason": ("dead_reason", str),
    "messaging.message.id": ("message_id", str),
    "server.address": ("server", str),
}
#: Names that older conventions and other libraries write instead; they stay in ``rest`` too.
LEGACY: Final[Mapping[str, str]] = {
    "messaging.operation": "operation",
    "messaging.destination": "destination",
    "messaging.source.name": "destination",
    "messaging.kafka.partition": "part",
    "messaging.kafka.destination.partition": "part",
    "messaging.kafka.source.partition": "part",
    "messaging.kafka.message.offset": "pos",
    "messaging.kafka.consumer.group": "consumer_group",
    "messaging.kafka.consumer_group": "consumer_group",
    "messaging.consumer.group": "consumer_group",
    "celery.retries": "retry",
    "messaging.message_id": "message_id",
    "net.peer.name": "server",
}
#: Values of `messaging.operation` before 1.26, and those of `messaging.operation.type` in their place.
LEGACY_OPERATIONS: Final[Mapping[str, str]] = {"publish": "send", "deliver": "process"}

BLANK: Final[list[Any]] = [None] * len(COLUMNS)


class Columns:
    """The spans of one message. ``rows`` in the order of COLUMNS, ``links`` in that of LINK_COLUMNS.

    ``refused``: spans without valid ids or times.
    """

    __slots__ = ("links", "refused", "rows")

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.links: list[list[Any]] = []
        self.refused = 0
