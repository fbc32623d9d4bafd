"""The rows of one trace in ``otel_traces``, and of the deliveries of other traces that took its messages, as spans."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from mqtrace.flow.engine import Rows
from mqtrace.flow.questions.trace import MOST_SPANS
from mqtrace.otlp.columns import ATTRIBUTES
from mqtrace.otlp.columns_value import column_value, short
from mqtrace.otlp.records import EventRecord, LinkRecord, SpanRecord

__all__ = ["trace_records"]

Ask = Callable[[str, Mapping[str, Any]], Rows]

_COLUMNS: Final = """
TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_id, TraceState AS state, SpanName AS name,
lower(SpanKind) AS kind, ServiceName AS service, ScopeName AS scope, toJSONString(SpanAttributes) AS attributes,
toUnixTimestamp64Nano(Timestamp) AS start_ns, toInt64(Duration) AS duration_ns, lower(StatusCode) AS status,
StatusMessage AS description, arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp) AS event_times,
Events.Name AS event_names, arrayMap(a -> toJSONString(a), Events.Attributes) AS event_attributes,
Links.TraceId AS link_traces, Links.SpanId AS link_spans, arrayMap(a -> toJSONString(a), Links.Attributes)
AS link_attributes"""
#: A batch is not long after what it took, and never long before.
_BEFORE_NS: Final = 3600 * 10**9


def trace_records(ask: Ask, table: str, trace_id: str) -> tuple[list[SpanRecord], list[SpanRecord], int]:
    """The spans of a trace, its guests, and how many spans were left out."""
    parameters: dict[str, Any] = {"trace": trace_id, "most": MOST_SPANS}
    rows = ask(
        f"SELECT {_COLUMNS} FROM {table} WHERE TraceId = $trace ORDER BY Timestamp, SpanId LIMIT 1 BY SpanId "
        "LIMIT $most",
        parameters,
    )
    if not rows:
        return [], [], 0
    omitted = 0
    if len(rows) == MOST_SPANS:
        (counted,) = ask(f"SELECT uniqExact(SpanId) AS spans FROM {table} WHERE TraceId = $trace", parameters)
        omitted = int(counted["spans"]) - MOST_SPANS
    parameters["since"] = max(0, int(rows[0]["start_ns"]) - _BEFORE_NS)
    guests = ask(
        f"SELECT {_COLUMNS} FROM {table} WHERE SpanKind = 'Consumer' AND TraceId != $trace "
        "AND has(Links.TraceId, $trace) AND Timestamp >= fromUnixTimestamp64Nano($since) "
        "LIMIT 1 BY TraceId, SpanId LIMIT $most",
        parameters,
    )
    return [_record(row) for row in rows], [_record(row) for row in guests], omitted


def _record(row: Mapping[str, Any]) -> SpanRecord:
    start = int(row["start_ns"])
    return SpanRecord(
        row["trace_id"],
        row["span_id"],
        row["parent_id"] or None,
        short(row["name"]),
        "internal" if row["kind"] == "unspecified" else row["kind"],
        start,
        start + int(row["duration_ns"]),
        _attributes(row["attributes"]),
        tuple(
            EventRecord(name, int(at), _attributes(attributes))
            for name, at, attributes in zip(
                row["event_names"], row["event_times"], row["event_attributes"], strict=True
            )
        ),
        tuple(
            LinkRecord(trace, span, _attributes(attributes))
            for trace, span, attributes in zip(
                row["link_traces"], row["link_spans"], row["link_attributes"], strict=True
            )
        ),
        row["status"] if row["status"] in ("ok", "error") else "unset",
        row["description"] or None,
        row["state"] or None,
        row["service"] or None,
        row["scope"] or None,
    )


def _attributes(text: str) -> dict[str, Any]:
    """The attributes: the Collector stores texts, and those that are numbers by convention become numbers again."""
    attributes: dict[str, Any] = {}
    _flatten("", json.loads(text or "{}"), attributes)
    for key, value in attributes.items():
        wanted = ATTRIBUTES.get(key)
        if wanted is not None and wanted[1] is not str:
            number = column_value(wanted[0], value)
            attributes[key] = value if number is None else number
        elif key == "messaging.kafka.message.tombstone":
            attributes[key] = value in (True, "true")
        elif isinstance(value, str):
            attributes[key] = short(value)
    return attributes


def _flatten(prefix: str, value: Any, into: dict[str, Any]) -> None:
    """Attributes of the type JSON are nested by the dots of their names."""
    for key, item in value.items():
        if isinstance(item, dict):
            _flatten(f"{prefix}{key}.", item, into)
        else:
            into[f"{prefix}{key}"] = item
