"""OTLP protobuf bytes (TracesData, opentelemetry/proto/trace/v1/trace.proto) to records.

Written by hand so that reading a topic needs no protobuf runtime. As in every protobuf reader a field of an unknown
number, or of a known number with another wire type, is skipped; what is cut short is :class:`Malformed`. Text that is
not UTF-8 is read with replacements, because the Collector passes it on.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from .records import KINDS, STATUSES, EventRecord, LinkRecord, SpanRecord
from .wire import BYTES, FIXED64, VARINT, Malformed, fields

__all__ = ["decode", "read_event", "read_key_value", "read_link", "read_span", "read_text"]

_U64: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct("<d")
# protobuf's own readers refuse messages that are nested deeper (CodedInputStream, recursion limit).
_DEEPEST: Final = 100


def decode(payload: bytes) -> tuple[list[SpanRecord], int]:
    """The spans of a TracesData, and how many were refused for ids of a wrong length, or zero.

    Raises Malformed if the bytes are cut short, or hold something else.
    """
    spans: list[SpanRecord] = []
    refused = 0
    has_resource_spans = not payload  # an empty message is a TracesData without spans
    for number, wire, value in fields(payload):
        if (number, wire) == (1, BYTES):
            has_resource_spans = True
            refused += _resource_spans(value, spans)
    if not has_resource_spans:
        raise Malformed("there is no ResourceSpans in it")
    return spans, refused


def _resource_spans(data: bytes, spans: list[SpanRecord]) -> int:
    resource: dict[str, Any] = {}
    scopes: list[bytes] = []
    for number, wire, value in fields(data):
        if (number, wire) == (1, BYTES):
            for inner, inner_wire, pair in fields(value):
                if (inner, inner_wire) == (1, BYTES):
                    read_key_value(pair, resource)
        elif (number, wire) == (2, BYTES):
            scopes.append(value)
    service = resource.get("service.name")
    return sum(_scope_spans(scope, service if isinstance(service, str) else None, spans) for scope in scopes)


def _scope_spans(data: bytes, service: str | None, spans: list[SpanRecord]) -> int:
    scope: str | None = None
    bodies: list[bytes] = []
    for number, wire, value in fields(data):
        if (number, wire) == (1, BYTES):
            for inner, inner_wire, name in fields(value):
                if (inner, inner_wire) == (1, BYTES):
                    scope = read_text(name) or None
        elif (number, wire) == (2, BYTES):
            bodies.append(value)
    refused = 0
    for body in bodies:
        span = read_span(body, service, scope)
        if span is None:
            refused += 1
        else:
            spans.append(span)
    return refused


def read_span(data: bytes, service: str | None, scope: str | None) -> SpanRecord | None:
    """Read a Span; None if its ids are of a wrong length, or zero."""
    trace_id = span_id = parent_id = b""
    name = state = description = ""
    kind = start = end = status = 0
    attributes: dict[str, Any] = {}
    events: list[EventRecord] = []
    links: list[LinkRecord] = []
    for field in fields(data):
        match field:
            case (1, 2, value):
                trace_id = value
            case (2, 2, value):
                span_id = value
            case (3, 2, value):
                state = read_text(value)
            case (4, 2, value):
                parent_id = value
            case (5, 2, value):
                name = read_text(value)
            case (6, 0, value):
                kind = value
            case (7, 1, value):
                (start,) = _U64.unpack(value)
            case (8, 1, value):
                (end,) = _U64.unpack(value)
            case (9, 2, value):
                read_key_value(value, attributes)
            case (11, 2, value):
                events.append(read_event(value))
            case (13, 2, value):
                link = read_link(value)
                if link is not None:
                    links.append(link)
            case (15, 2, value):
                for inner, wire, content in fields(value):
                    if (inner, wire) == (2, BYTES):
                        description = read_text(content)
                    elif (inner, wire) == (3, VARINT):
                        status = content
            case _:
                pass  # flags and counts of what was dropped
    if not _is_id(trace_id, 16) or not _is_id(span_id, 8) or len(parent_id) not in (0, 8):
        return None
    return SpanRecord(
        trace_id.hex(),
        span_id.hex(),
        parent_id.hex() if any(parent_id) else None,
        name,
        KINDS[kind] if kind < len(KINDS) else KINDS[0],
        start,
        end,
        attributes,
        tuple(events),
        tuple(links),
        STATUSES[status] if status < len(STATUSES) else STATUSES[0],
        description or None,
        state or None,
        service,
        scope,
    )


def read_event(data: bytes) -> EventRecord:
    """Read a Span.Event."""
    name, timestamp = "", 0
    attributes: dict[str, Any] = {}
    for number, wire, value in fields(data):
        if (number, wire) == (1, FIXED64):
            (timestamp,) = _U64.unpack(value)
        elif (number, wire) == (2, BYTES):
            name = read_text(value)
        elif (number, wire) == (3, BYTES):
            read_key_value(value, attributes)
    return EventRecord(name, timestamp, attributes)


def read_link(data: bytes) -> LinkRecord | None:
    """Read a Span.Link; None if its ids are invalid."""
    trace_id = span_id = b""
    attributes: dict[str, Any] = {}
    for number, wire, value in fields(data):
        if (number, wire) == (1, BYTES):
            trace_id = value
        elif (number, wire) == (2, BYTES):
            span_id = value
        elif (number, wire) == (4, BYTES):
            read_key_value(value, attributes)
    if not _is_id(trace_id, 16) or not _is_id(span_id, 8):
        return None
    return LinkRecord(trace_id.hex(), span_id.hex(), attributes)


def read_key_value(data: bytes, into: dict[str, Any], depth: int = 0) -> None:
    """Read a KeyValue into the attributes."""
    key, value = "", None
    for number, wire, content in fields(data):
        if (number, wire) == (1, BYTES):
            key = read_text(content)
        elif (number, wire) == (2, BYTES):
            value = _any_value(content, depth)
    into[key] = value


def _any_value(data: bytes, depth: int) -> Any:
    """An AnyValue as a value of Python; None if it is empty. The last of several wins, as in a oneof."""
    if depth > _DEEPEST:
        raise Malformed("a value is nested too deep")
    result: Any = None
    for field in fields(data):
        match field:
            case (1, 2, value):
                result = read_text(value)
            case (2, 0, value):
                result = bool(value)
            case (3, 0, value):
                result = value - (1 << 64) if value >> 63 else value
            case (4, 1, value):
                (result,) = _DOUBLE.unpack(value)
            case (5, 2, value):
                result = [_any_value(item, depth + 1) for inner, wire, item in fields(value) if (inner, wire) == (1, 2)]
            case (6, 2, value):
                result = {}
                for inner, wire, pair in fields(value):
                    if (inner, wire) == (1, BYTES):
                        read_key_value(pair, result, depth + 1)
            case (7, 2, value):
                result = value
            case _:
                pass
    return result


def _is_id(value: bytes, size: int) -> bool:
    return len(value) == size and any(value)


def read_text(value: bytes) -> str:
    """The text; bytes that are not UTF-8 are replaced."""
    return value.decode("utf-8", "replace")
