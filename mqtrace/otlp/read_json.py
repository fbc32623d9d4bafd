"""OTLP JSON (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding") to records.

Ids are hex, unlike the base64 of protobuf's own JSON; 64-bit numbers are text or numbers, enums numbers or, by some
writers, names. Members of an unknown name are skipped.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from .records import KINDS, STATUSES, EventRecord, LinkRecord, SpanRecord
from .wire import Malformed

__all__ = ["decode"]

_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
_NAMED_KINDS: Final = {f"SPAN_KIND_{kind.upper()}": kind for kind in KINDS}
_NAMED_STATUSES: Final = {f"STATUS_CODE_{status.upper()}": status for status in STATUSES}
_DEEPEST: Final = 100


def decode(payload: bytes) -> tuple[list[SpanRecord], int]:
    """The spans of a TracesData in JSON, and how many were refused. Raises Malformed if it is not one."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    if not isinstance(data, dict) or not isinstance(data.get("resourceSpans"), list):
        raise Malformed("there is no resourceSpans in it")
    spans: list[SpanRecord] = []
    refused = 0
    for resource_spans in _objects(data, "resourceSpans"):
        resource = resource_spans.get("resource")
        service = _attributes(resource).get("service.name") if isinstance(resource, dict) else None
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            scope = scope_spans.get("scope")
            scope_name = scope.get("name") if isinstance(scope, dict) else None
            for body in _objects(scope_spans, "spans"):
                try:
                    span = _span(body, service if isinstance(service, str) else None, _text(scope_name) or None)
                except Malformed:
                    refused += 1
                else:
                    spans.append(span)
    return spans, refused


def _objects(holder: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    items = holder.get(name)
    if isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))


def _span(body: dict[str, Any], service: str | None, scope: str | None) -> SpanRecord:
    trace_id, span_id = _id(body.get("traceId"), _TRACE_ID), _id(body.get("spanId"), _SPAN_ID)
    if trace_id is None or span_id is None:
        raise Malformed("a span has no id")
    parent = body.get("parentSpanId") or None
    parent_id = _id(parent, _SPAN_ID)
    if parent is not None and parent_id is None and parent != "0" * 16:
        raise Malformed("the id of a parent is invalid")
    status = body.get("status")
    if not isinstance(status, dict):
        status = {}
    return SpanRecord(
        trace_id,
        span_id,
        parent_id,
        _text(body.get("name")),
        _enum(body.get("kind"), KINDS, _NAMED_KINDS),
        _time(body.get("startTimeUnixNano")),
        _time(body.get("endTimeUnixNano")),
        _attributes(body),
        tuple(
            EventRecord(_text(event.get("name")), _time(event.get("timeUnixNano")), _attributes(event))
            for event in _objects(body, "events")
        ),
        tuple(_links(body)),
        _enum(status.get("code"), STATUSES, _NAMED_STATUSES),
        _text(status.get("message")) or None,
        _text(body.get("traceState")) or None,
        service,
        scope,
    )


def _links(body: dict[str, Any]) -> Iterator[LinkRecord]:
    for link in _objects(body, "links"):
        trace_id, span_id = _id(link.get("traceId"), _TRACE_ID), _id(link.get("spanId"), _SPAN_ID)
        if trace_id is not None and span_id is not None:
            yield LinkRecord(trace_id, span_id, _attributes(link))


def _id(value: object, shape: re.Pattern[str]) -> str | None:
    if not isinstance(value, str):
        return None
    lowered = value.lower()  # the specification asks readers to take both
    return lowered if shape.fullmatch(lowered) else None


def _enum(value: object, by_number: tuple[str, ...], by_name: dict[str, str]) -> str:
    if isinstance(value, int) and 0 <= value < len(by_number):
        return by_number[value]
    return by_name.get(value, by_number[0]) if isinstance(value, str) else by_number[0]


def _time(value: object) -> int:
    """ns since the epoch; 0 if it is left out, as in protobuf."""
    if value is None:
        return 0
    number = _integer(value)
    if number is None or not 0 <= number < 1 << 64:
        raise Malformed("a time is not a number of nanoseconds")
    return number


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and len(value) <= 20 and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    return None


def _attributes(holder: dict[str, Any], name: str = "attributes", depth: int = 0) -> dict[str, Any]:
    return {_text(pair.get("key")): _value(pair.get("value"), depth) for pair in _objects(holder, name)}


def _value(value: object, depth: int) -> Any:
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    match value:
        case {"stringValue": str(text)}:
            return _text(text)
        case {"boolValue": bool(flag)}:
            return flag
        case {"intValue": number}:
            return _integer(number)
        case {"doubleValue": number}:
            return _double(number)
        case {"arrayValue": dict(array)}:
            return [_value(item, depth + 1) for item in _objects(array, "values")]
        case {"kvlistValue": dict(pairs)}:
            return _attributes(pairs, "values", depth + 1)
        case {"bytesValue": str(text)}:
            try:
                return base64.b64decode(text)
            except ValueError:
                return None
        case _:
            return None


def _double(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)  # "NaN", "Infinity" and "-Infinity" are text in JSON
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str:
    """Text, in which a lone surrogate, which JSON can write, is replaced."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
