"""Finished spans to OTLP bytes (opentelemetry/proto/trace/v1/trace.proto), in the worker's thread.

Most spans of messages take the short way (encode_message.py). All others take the long way here, field by field.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Sequence
from typing import Final

from mqtrace.version import VERSION

from . import encode_message, proto
from .details import STATUS_CODES, Details, Link, OuterLink
from .encode_message import LOCAL, REMOTE
from .message_spans import BatchSpan
from .pipeline import Pipeline
from .proto import VARINTS, varint
from .span import Span
from .template import KINDS

__all__ = ["SCOPE_NAME", "encode_span", "request", "wrap"]

SCOPE_NAME: Final = "mqtrace"

_TIMES: Final = struct.Struct("<BQBQ")
_FLAGS: Final = struct.Struct("<2sI")
# ScopeSpans: 2 spans. The tag and the length of a span, for all lengths but those of the long ones.
_FRAMES: Final = tuple(b"\x12" + length for length in VARINTS)


def encode_span(span: Span) -> bytes:
    """A finished span as the bytes of a Span message."""
    pieces = encode_message.pieces(span)
    return _field_by_field(span, span.details) if pieces is None else b"".join(pieces)


def _head(span: Span, begun_ns: int, ended_ns: int) -> bytes:
    """1 trace_id, 2 span_id, 4 parent_span_id, 7 start_time_unix_nano, 8 end_time_unix_nano, 16 flags."""
    identity = span.identity
    parent = span.parent
    return b"".join(
        (
            proto.delimited(0x0A, unhexlify(identity[3:35])),
            proto.delimited(0x12, unhexlify(identity[36:52])),
            b"" if parent is None else proto.delimited(0x22, unhexlify(parent[36:52])),
            _TIMES.pack(0x39, begun_ns, 0x41, ended_ns),
            _FLAGS.pack(b"\x85\x01", (REMOTE if span.parent_remote else LOCAL) | identity[54] & 3),
        )
    )


def _field_by_field(span: Span, details: Details | OuterLink | None) -> bytes:
    ended_ns = span.end_time
    assert ended_ns is not None, "a finished span"
    body = _head(span, span.start_time, ended_ns)
    overrides = details is not None and bool(details.attributes) and _overrides(span, details)
    if overrides:
        body += _name_kind_attributes(span)
    else:
        body += span.template.encoded
        body += b"".join([proto.attribute(0x4A, key, value) for key, value in span.slot_attributes().items()])
    if isinstance(span, BatchSpan):
        body += _batch_links(span)
    else:
        body += b"".join([_link(link) for link in span.slot_links()])
    if span.state is not None:
        body += proto.text(0x1A, span.state)
    if details is not None:
        body += _details(details, not overrides)
    return body


def _overrides(span: Span, details: Details | OuterLink) -> bool:
    """Whether the user set an attribute that the operation has too: a key must not occur twice."""
    keys = details.attributes.keys()
    return not (keys.isdisjoint(span.template.attributes) and keys.isdisjoint(span.slot_attributes()))


def _name_kind_attributes(span: Span) -> bytes:
    """In place of the template's bytes."""
    return (
        proto.text(0x2A, span.name)
        + bytes((0x30, KINDS[span.kind]))
        + b"".join([proto.attribute(0x4A, key, value) for key, value in span.attributes.items()])
    )


def _batch_links(span: BatchSpan) -> bytes:
    out = []
    remote = b"03" if span.remote_origins else b"01"
    for origin, partition, offset, extra in span.origins:
        body = unhexlify(b"0a10%b1208%b350%b%b0000" % (origin[3:35], origin[36:52], origin[54:], remote))
        if partition >= 0:
            body += encode_message.partition(partition, 0x22)
        if offset >= 0:
            # encoded as a span's attribute; field number 4 of a link
            body += b"\x22" + encode_message.offset(offset)[1:]
        if extra is not None:
            body += b"".join([proto.attribute(0x22, key, value) for key, value in extra.items()])
        out.append(proto.delimited(0x6A, body))
    return b"".join(out)


def _link(link: Link) -> bytes:
    origin = link.context.identity
    assert origin is not None, "add_link refuses a context without a trace"
    remote = b"03" if link.remote else b"01"
    body = unhexlify(b"0a10%b1208%b350%b%b0000" % (origin[3:35], origin[36:52], origin[54:], remote))
    if link.context.state:
        body += proto.text(0x1A, link.context.state)
    body += b"".join(proto.attribute(0x22, key, value) for key, value in link.attributes.items())
    if link.dropped_attributes:
        body += b"\x28" + varint(link.dropped_attributes)
    return proto.delimited(0x6A, body)


def _details(details: Details | OuterLink, attributes: bool) -> bytes:
    out = [proto.attribute(0x4A, key, value) for key, value in details.attributes.items()] if attributes else []
    for event in details.events:
        body = struct.pack("<BQ", 0x09, event.timestamp) + proto.text(0x12, event.name)
        body += b"".join(proto.attribute(0x1A, key, value) for key, value in event.attributes.items())
        if event.dropped_attributes:
            body += b"\x20" + varint(event.dropped_attributes)
        out.append(proto.delimited(0x5A, body))
    out.extend(_link(link) for link in details.links)
    if details.dropped_attributes:
        out.append(b"\x50" + varint(details.dropped_attributes))
    if details.dropped_events:
        out.append(b"\x60" + varint(details.dropped_events))
    if details.dropped_links:
        out.append(b"\x70" + varint(details.dropped_links))
    if details.status != "unset":
        body = b"" if not details.description else proto.text(0x12, details.description)
        out.append(proto.delimited(0x7A, body + bytes((0x18, STATUS_CODES[details.status]))))
    return b"".join(out)


def request(spans: Sequence[Span]) -> bytes:
    """Spans as the bytes of a TracesData: a ResourceSpans for each tracer."""
    if not spans:
        return b""
    pipeline = spans[0].template.pipeline
    out: list[bytes] = []
    others: list[Span] = []
    for span in spans:
        if span.template.pipeline is not pipeline:
            others.append(span)
            continue
        pieces = encode_message.pieces(span)
        if pieces is not None:
            head, operation, low, high = pieces
            size = len(head) + len(operation) + len(low) + len(high)
            out += (_FRAMES[size] if size < 2048 else b"\x12" + varint(size), head, operation, low, high)
        else:
            out.append(proto.delimited(0x12, _field_by_field(span, span.details)))
    encoded = wrap(pipeline, b"".join(out))
    return encoded + request(others) if others else encoded


def wrap(pipeline: Pipeline, spans: bytes) -> bytes:
    """A TracesData of one tracer. ``spans``: the bytes of each, with tag and length."""
    scope, resource = envelope(pipeline)
    return proto.delimited(0x0A, resource + proto.delimited(0x12, scope + spans))


def envelope(pipeline: Pipeline) -> tuple[bytes, bytes]:
    """The scope and the resource of a tracer's spans, as fields; encoded once."""
    if pipeline.envelope is None:
        resource = b"".join([proto.attribute(0x0A, key, value) for key, value in pipeline.resource.items()])
        scope = proto.text(0x0A, SCOPE_NAME) + proto.text(0x12, VERSION)
        pipeline.envelope = (proto.delimited(0x0A, scope), proto.delimited(0x0A, resource))
    return pipeline.envelope
