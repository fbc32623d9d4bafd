"""Records as OTLP: protobuf by OpenTelemetry's own classes, JSON as its specification says. For tests and bench."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from mqtrace.otlp.records import SpanRecord

__all__ = ["json_line", "payload", "payloads", "write_framed", "write_lines"]

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES = {"unset": 0, "ok": 1, "error": 2}


def payloads(spans: Iterable[SpanRecord], each: int = 100) -> Iterator[bytes]:
    """Messages of so many spans."""
    spans = iter(spans)
    while batch := list(islice(spans, each)):
        yield payload(batch)


def payload(spans: Iterable[SpanRecord]) -> bytes:
    """A TracesData, by service."""
    return bytes(_data(spans).SerializeToString())


def json_line(spans: Iterable[SpanRecord]) -> bytes:
    """The same as a line of the Collector's file exporter: ids in hex, 64-bit numbers as text, enums as numbers."""
    by_service: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        by_service.setdefault(span.service or "", []).append(_told(span))
    resources = [
        {
            "resource": {"attributes": _json_pairs({"service.name": service})},
            "scopeSpans": [{"scope": {"name": "mqtrace"}, "spans": told}],
        }
        for service, told in by_service.items()
    ]
    return json.dumps({"resourceSpans": resources}).encode() + b"\n"


def write_lines(path: Path, spans: Iterable[SpanRecord], each: int = 100) -> str:
    """A file of such lines; its address."""
    spans = iter(spans)
    with path.open("wb") as file:
        while batch := list(islice(spans, each)):
            file.write(json_line(batch))
    return f"file://{path}"


def write_framed(path: Path, messages: Iterable[bytes]) -> str:
    """A file as the Collector's exporter writes protobuf, four bytes of length before each; its address."""
    with path.open("wb") as file:
        for message in messages:
            file.write(len(message).to_bytes(4, "big") + message)
    return f"file://{path}"


def _told(span: SpanRecord) -> dict[str, Any]:
    status: dict[str, Any] = {"code": _STATUSES[span.status], "message": span.status_description or ""}
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id or "",
        "traceState": span.trace_state or "",
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": _json_pairs(span.attributes),
        "links": [
            {"traceId": link.trace_id, "spanId": link.span_id, "attributes": _json_pairs(link.attributes)}
            for link in span.links
        ],
        "events": [
            {"name": event.name, "timeUnixNano": str(event.timestamp), "attributes": _json_pairs(event.attributes)}
            for event in span.events
        ],
        "status": status if span.status != "unset" else {},
    }


def _json_pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _json_value(value)} for key, value in attributes.items()]


def _json_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _data(spans: Iterable[SpanRecord]) -> TracesData:
    data = TracesData()
    by_service: dict[str, Any] = {}
    for span in spans:
        service = span.service or ""
        if service not in by_service:
            resource = data.resource_spans.add()
            resource.resource.attributes.extend(_pairs({"service.name": service}))
            by_service[service] = resource.scope_spans.add()
            by_service[service].scope.name = "mqtrace"
        made = by_service[service].spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id or ""),
            name=span.name,
            kind=Span.SpanKind.ValueType(_KINDS[span.kind]),
            start_time_unix_nano=span.start,
            end_time_unix_nano=span.end,
            trace_state=span.trace_state or "",
            flags=0x101,
        )
        made.attributes.extend(_pairs(span.attributes))
        for link in span.links:
            made.links.add(
                trace_id=bytes.fromhex(link.trace_id),
                span_id=bytes.fromhex(link.span_id),
                attributes=_pairs(link.attributes),
                flags=0x301,
            )
        for event in span.events:
            made.events.add(name=event.name, time_unix_nano=event.timestamp, attributes=_pairs(event.attributes))
        if span.status != "unset":
            made.status.CopyFrom(
                Status(code=Status.StatusCode.ValueType(_STATUSES[span.status]), message=span.status_description or "")
            )
    return data


def _pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=value)
