"""One trace: its spans as a tree, and the batch spans of other traces that link to it.

A batch of messages is one span in a trace of its own with a link to each message's context (OpenTelemetry semantic
conventions, messaging), so that only the link leads from a message's trace to the batch. Such spans are the trace's
guests. A topic may hold anything: parents that never arrive, spans that are their own ancestors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mqtrace.otlp.records import SpanRecord

__all__ = ["Row", "Trace", "as_json"]

#: The most spans that are kept of one trace; a trace with more is not a request any more.
MOST_SPANS = 10_000
#: How many levels of indentation anyone can follow; kept for each row, so a chain of thousands must not keep them all.
DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A span's place in the tree, ``depth`` levels below a root.

    ``last``: for each level, the innermost :data:`DEEPEST` of them, whether no sibling follows; empty at a root.
    """

    span: SpanRecord
    last: tuple[bool, ...]
    depth: int = 0
    #: Of another trace, and shown here because it links to the span above.
    guest: bool = False
    #: The parent has not arrived.
    orphan: bool = False


class Trace:
    """The spans of one trace that have arrived. ``late``: it was drawn before, and more spans came."""

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
        self.spans: dict[str, SpanRecord] = {}
        self.guests: dict[tuple[str, str], SpanRecord] = {}
        self.omitted = 0
        self.late = False

    def add(self, span: SpanRecord) -> None:
        """Take a span. One that comes again (a topic delivers at least once) replaces itself."""
        records: dict[Any, SpanRecord] = self.spans if span.trace_id == self.trace_id else self.guests
        key = span.span_id if span.trace_id == self.trace_id else (span.trace_id, span.span_id)
        if key in records or len(records) < MOST_SPANS:
            records[key] = span
        else:
            self.omitted += 1

    @property
    def root(self) -> SpanRecord | None:
        """The first span without a parent; None while none has arrived."""
        return min((span for span in self.spans.values() if span.parent_id is None), key=_order, default=None)

    @property
    def first(self) -> SpanRecord:
        """The root, or the earliest span if it is missing. The trace must have spans."""
        return self.root or min(self.spans.values(), key=_order)

    @property
    def orphans(self) -> list[SpanRecord]:
        """Spans whose parent has not arrived."""
        return [span for span in self.spans.values() if span.parent_id is not None and span.parent_id not in self.spans]

    @property
    def is_whole(self) -> bool:
        """Whether there is a root and every parent."""
        return self.root is not None and not self.orphans

    @property
    def start(self) -> int:
        """ns since the epoch."""
        return min(span.start for span in self.spans.values())

    @property
    def duration(self) -> int:
        """ns, from the start of the first span to the end of the last; guests do not count."""
        return max(0, max(span.end for span in self.spans.values()) - self.start)

    @property
    def services(self) -> list[str]:
        """The services that took part, in order of appearance."""
        ordered = sorted(self.spans.values(), key=_order)
        return list(dict.fromkeys(span.service or "?" for span in ordered))

    @property
    def destinations(self) -> list[str]:
        """The destinations of its messages, in order of appearance."""
        ordered = sorted(self.spans.values(), key=_order)
        return list(dict.fromkeys(span.destination for span in ordered if span.destination))

    @property
    def errors(self) -> list[SpanRecord]:
        """Spans that failed."""
        return [span for span in self.spans.values() if span.status == "error"]

    def queued(self, span: SpanRecord) -> tuple[float, bool] | None:
        """ms that a consumer's message waited, and whether it was measured; None for other spans.

        If the writer did not measure it, it is the time since the span that sent the message began.
        """
        if span.latency is not None:
            return span.latency, True
        parent = self.spans.get(span.parent_id or "")
        if span.kind != "consumer" or parent is None or parent.kind != "producer":
            return None
        return max(0.0, (span.start - parent.start) / 1e6), False

    def rows(self) -> Iterator[Row]:
        """Every span once, parents before children, siblings by their start; guests below what they link to."""
        children: dict[str, list[SpanRecord]] = {}
        roots: list[SpanRecord] = []
        for span in sorted(self.spans.values(), key=_order):
            if span.parent_id in self.spans and span.parent_id != span.span_id:
                children.setdefault(span.parent_id or "", []).append(span)
            else:
                roots.append(span)
        guests = self._guests_by_host()
        seen: set[str] = set()
        # What no root leads to is a ring of parents: it is entered at its earliest span.
        for root in (*roots, *sorted(self.spans.values(), key=_order)):
            if root.span_id in seen:
                continue
            waiting = [Row(root, (), orphan=root.parent_id is not None)]
            while waiting:
                row = waiting.pop()
                if not row.guest:
                    if row.span.span_id in seen:
                        continue
                    seen.add(row.span.span_id)
                yield row
                if row.guest:
                    continue
                below = [Row(child, ()) for child in children.get(row.span.span_id, ()) if child.span_id not in seen]
                below += [Row(guest, (), guest=True) for guest in guests.get(row.span.span_id, ())]
                for place in range(len(below) - 1, -1, -1):
                    child = below[place]
                    last = (*row.last, place == len(below) - 1)[-DEEPEST:]
                    waiting.append(Row(child.span, last, row.depth + 1, child.guest))

    def _guests_by_host(self) -> Mapping[str, list[SpanRecord]]:
        """A guest that links to several spans here is shown once, below the first."""
        hosts: dict[str, list[SpanRecord]] = {}
        for guest in sorted(self.guests.values(), key=_order):
            linked = [self.spans[link.span_id] for link in guest.links if self._holds(link.trace_id, link.span_id)]
            if linked:
                hosts.setdefault(min(linked, key=_order).span_id, []).append(guest)
        return hosts

    def _holds(self, trace_id: str, span_id: str) -> bool:
        return trace_id == self.trace_id and span_id in self.spans


def _order(span: SpanRecord) -> tuple[int, str]:
    return span.start, span.span_id


def as_json(trace: Trace) -> dict[str, Any]:
    """A trace for ``json.dumps``: ``spans`` in the order of the waterfall, ``linked_spans`` of other traces."""
    rows = list(trace.rows())
    return {
        "trace_id": trace.trace_id,
        "whole": trace.is_whole,
        "late": trace.late,
        "start_time": trace.start,
        "duration_ms": trace.duration / 1e6,
        "services": trace.services,
        "destinations": trace.destinations,
        "errors": len(trace.errors),
        "spans": [_span_json(trace, row.span) for row in rows if not row.guest],
        "linked_spans": [_span_json(trace, row.span) for row in rows if row.guest],
    }


def _span_json(trace: Trace, span: SpanRecord) -> dict[str, Any]:
    queued = trace.queued(span)
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "service": span.service,
        "destination": span.destination,
        "partition": span.partition,
        "queue_ms": None if queued is None else queued[0],
        "start_time": span.start,
        "duration_ms": span.duration / 1e6,
        "status": span.status,
        "error": span.error,
        "attributes": _as_json_value(span.attributes),
        "events": [
            {"name": event.name, "timestamp": event.timestamp, "attributes": _as_json_value(event.attributes)}
            for event in span.events
        ],
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": _as_json_value(link.attributes)}
            for link in span.links
        ],
    }


def _as_json_value(value: Any) -> Any:
    """A value that JSON can hold: bytes become text in hex, and floats that are not finite become text."""
    if isinstance(value, Mapping):
        return {key: _as_json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json_value(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
