"""Spans that were read from a topic, by whichever library they were written: records of fields.

Names follow opentelemetry/proto/trace/v1/trace.proto; ids are lowercase hex, times are ns since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mqtrace import core

__all__ = ["KINDS", "STATUSES", "EventRecord", "LinkRecord", "SpanRecord"]

#: Span.SpanKind by number; 0 (unspecified) is read as internal, as the specification says.
KINDS: Final[tuple[str, ...]] = (
    "internal",
    *(kind for kind, _ in sorted(core.KINDS.items(), key=lambda pair: pair[1])),
)
#: Status.StatusCode by number.
STATUSES: Final[tuple[str, ...]] = tuple(
    status for status, _ in sorted(core.STATUS_CODES.items(), key=lambda pair: pair[1])
)
# Times since the epoch are below this too, until the year 33658.
_MOST_LATENCY_MS: Final = 10**15


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link to another span, which may be of another trace."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event within a span. ``timestamp``: ns since the epoch."""

    name: str
    timestamp: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One finished span. ``start`` and ``end``: ns since the epoch; ``parent_id``: None at a root."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    name: str = ""
    kind: str = "internal"
    start: int = 0
    end: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[EventRecord, ...] = ()
    links: tuple[LinkRecord, ...] = ()
    status: str = "unset"
    status_description: str | None = None
    trace_state: str | None = None
    #: `service.name` of the resource, and the instrumentation scope's name; None if nobody said it.
    service: str | None = None
    scope: str | None = None

    @property
    def duration(self) -> int:
        """ns; 0 where the clock went backwards."""
        return max(0, self.end - self.start)

    @property
    def destination(self) -> str | None:
        """`messaging.destination.name`."""
        return _text(self.attributes.get("messaging.destination.name"))

    @property
    def partition(self) -> str | None:
        """`messaging.destination.partition.id`; other libraries write it as a number too."""
        value = self.attributes.get("messaging.destination.partition.id")
        if value is None:
            value = self.attributes.get("messaging.kafka.partition")  # conventions before 1.17
        return None if value is None or isinstance(value, (list, dict)) else str(value)

    @property
    def latency(self) -> float | None:
        """`messaging.message.receive.latency`: ms in the queue; None if the writer did not measure it, or not that."""
        latency_ms = self.attributes.get("messaging.message.receive.latency")
        if isinstance(latency_ms, bool) or not isinstance(latency_ms, (int, float)):
            return None
        return float(latency_ms) if 0 <= latency_ms < _MOST_LATENCY_MS else None

    @property
    def retries(self) -> int:
        """How many attempts at its message there were before; 0 for the first one, and for other spans."""
        count = self.attributes.get("messaging.message.retry.count")
        return count if isinstance(count, int) and self.kind == "consumer" else 0

    @property
    def is_dead_letter(self) -> bool:
        """Whether its message came back through a dead-letter exchange."""
        return "mqtrace.dead_letter.count" in self.attributes

    @property
    def is_tombstone(self) -> bool:
        """Whether the message had no value."""
        return self.attributes.get("messaging.kafka.message.tombstone") is True

    @property
    def batch_count(self) -> int | None:
        """`messaging.batch.message_count`; None if the span is not of a batch."""
        value = self.attributes.get("messaging.batch.message_count")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def error(self) -> str | None:
        """What went wrong, in a few words; None if nothing did."""
        if self.status != "error":
            return None
        kind = _text(self.attributes.get("error.type"))
        message = self.status_description
        for event in self.events:
            if event.name == "exception":
                kind = _text(event.attributes.get("exception.type")) or kind
                message = _text(event.attributes.get("exception.message")) or message
        short = kind.rpartition(".")[2] if kind else None
        if short and message and not message.startswith(short):
            return f"{short}: {message}"
        return message or short or "error"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
