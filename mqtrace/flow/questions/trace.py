"""One trace: its spans in the order of a waterfall, and the batches of other traces that took its messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mqtrace.flow.answers import TraceAnswer, TraceSpan
from mqtrace.otlp.columns_value import json_value
from mqtrace.otlp.records import EventRecord, LinkRecord, SpanRecord
from mqtrace.otlp.trace import Trace

from .window import rfc3339

__all__ = ["MOST_SPANS", "answered", "assembled"]

#: Of one trace that are shown, and of guests.
MOST_SPANS: Final = 10_000


def answered(
    trace_id: str, spans: Sequence[SpanRecord], guests: Sequence[SpanRecord], omitted: int
) -> TraceAnswer | None:
    """The answer; None without spans. ``omitted``: how many there were beyond these."""
    if not spans:
        return None
    trace = Trace(trace_id)
    for span in (*spans, *guests):
        trace.add(span)
    begin = trace.start  # looked for once, not for each of ten thousand spans
    return {
        "trace_id": trace_id,
        "root": trace.first.name,
        "start": rfc3339(begin),
        "duration_ms": trace.duration / 1e6,
        "services": trace.services,
        "errors": len(trace.errors),
        "spans": [_span(trace, begin, row.span, row.guest) for row in trace.rows()],
        "omitted": omitted + trace.omitted,
    }


def _span(trace: Trace, begin: int, span: SpanRecord, guest: bool) -> TraceSpan:
    wait = trace.queued(span)
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "start": rfc3339(span.start),
        "duration_ms": span.duration / 1e6,
        "attributes": json_value(span.attributes),
        "offset_ms": (span.start - begin) / 1e6,
        "start_ns": span.start,
        "status": span.status,
        "error": span.error,
        "status_description": span.status_description,
        "destination": span.destination,
        "partition": span.partition,
        "wait_ms": None if wait is None else wait[0],
        "wait_measured": wait is not None and wait[1],
        "guest": guest,
        "retry": span.retries,
        "dead_letter": span.is_dead_letter,
        "batch": span.batch_count,
        "events": [
            {
                "name": event.name,
                "timestamp_ns": event.timestamp,
                "offset_ms": (event.timestamp - begin) / 1e6,
                "attributes": json_value(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": json_value(link.attributes)}
            for link in span.links
        ],
        "trace_state": span.trace_state,
    }


def assembled(answer: TraceAnswer) -> Trace:
    """The trace of an answer, to be drawn."""
    trace = Trace(answer["trace_id"])
    for span in answer["spans"]:
        trace.add(_record(span))
    trace.omitted += answer["omitted"]
    return trace


def _record(span: TraceSpan) -> SpanRecord:
    return SpanRecord(
        span["trace_id"],
        span["span_id"],
        span["parent_id"],
        span["name"],
        span["kind"],
        span["start_ns"],
        span["start_ns"] + round(span["duration_ms"] * 1e6),
        span["attributes"],
        tuple(EventRecord(event["name"], event["timestamp_ns"], event["attributes"]) for event in span["events"]),
        tuple(LinkRecord(link["trace_id"], link["span_id"], link["attributes"]) for link in span["links"]),
        span["status"],
        span["status_description"],
        span["trace_state"],
        span["service"],
    )
