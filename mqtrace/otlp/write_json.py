"""OTLP as JSON (OTLP specification, "JSON Protobuf Encoding").

Field names in lowerCamelCase, ids in hex, enums as numbers, 64-bit integers as text (proto3 JSON mapping), bytes in
base64.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mqtrace.core import (
    KINDS,
    SCOPE_NAME,
    SPAN_FLAGS_LOCAL,
    SPAN_FLAGS_REMOTE,
    STATUS_CODES,
    Attribute,
    Event,
    Link,
    Span,
)
from mqtrace.version import VERSION

__all__ = ["encode"]


def encode(spans: Sequence[Span]) -> bytes:
    """Spans as the JSON of a TracesData, in UTF-8, without a line break."""
    by_resource: dict[int, list[Span]] = {}
    for span in spans:
        by_resource.setdefault(id(span.resource), []).append(span)
    data = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(group[0].resource)},
                "scopeSpans": [
                    {"scope": {"name": SCOPE_NAME, "version": VERSION}, "spans": [_span(span) for span in group]}
                ],
            }
            for group in by_resource.values()
        ]
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def _span(span: Span) -> dict[str, Any]:
    out: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes),
        "flags": (SPAN_FLAGS_REMOTE if span.parent_remote else SPAN_FLAGS_LOCAL) | span.identity[54] & 3,
    }
    if span.parent_id is not None:
        out["parentSpanId"] = span.parent_id
    if span.trace_state:
        out["traceState"] = span.trace_state
    if span.events:
        out["events"] = [_event(event) for event in span.events]
    if span.links:
        out["links"] = [_link(link) for link in span.links]
    if span.status != "unset":
        status: dict[str, Any] = {"code": STATUS_CODES[span.status]}
        if span.status_description:
            status["message"] = span.status_description
        out["status"] = status
    details = span.details
    if details is not None:
        counts: dict[str, Any] = {
            "droppedAttributesCount": details.dropped_attributes,
            "droppedEventsCount": details.dropped_events,
            "droppedLinksCount": details.dropped_links,
        }
        out.update({name: count for name, count in counts.items() if count})
    return out


def _event(event: Event) -> dict[str, Any]:
    out: dict[str, Any] = {
        "timeUnixNano": str(event.timestamp),
        "name": event.name,
        "attributes": _attributes(event.attributes),
    }
    if event.dropped_attributes:
        out["droppedAttributesCount"] = event.dropped_attributes
    return out


def _link(link: Link) -> dict[str, Any]:
    context = link.context
    out: dict[str, Any] = {
        "traceId": context.trace_id,
        "spanId": context.span_id,
        "attributes": _attributes(link.attributes),
        "flags": (SPAN_FLAGS_REMOTE if link.remote else SPAN_FLAGS_LOCAL) | context.trace_flags & 3,
    }
    if context.state:
        out["traceState"] = context.state
    if link.dropped_attributes:
        out["droppedAttributesCount"] = link.dropped_attributes
    return out


def _attributes(attributes: Mapping[str, Attribute]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Attribute) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _not_finite(value)}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode("ascii")}
    items: Iterable[Any] = value
    return {"arrayValue": {"values": [_value(item) for item in items]}}


def _not_finite(value: float) -> str:
    # proto3 JSON mapping: these three are text
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
