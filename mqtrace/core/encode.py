"""Finished spans to OTLP bytes (opentelemetry/proto/trace/v1/trace.proto), in the worker's thread.

What a template knows is copied; what a message adds is one pass from hex to bytes and one Struct. A span that has more
(attributes of its own, events, an error) takes the long way, field by field. Fields may stand in any order.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Sequence
from typing import Final

from mqtrace.version import VERSION

from . import proto
from .message import LATENCY, OFFSET, PARTITION, BatchSpan, MessageSpan, ProcessSpan
from .pipeline import Pipeline
from .proto import VARINTS, varint
from .span import Details, Link, Span
from .template import KINDS

__all__ = ["SCOPE_NAME", "encode_span", "request", "wrap"]

SCOPE_NAME: Final = "mqtrace"

# Span: 7 start_time_unix_nano, 8 end_time_unix_nano, 16 flags
_DOUBLE: Final = struct.Struct("<d")
_TIMES: Final = struct.Struct("<BQBQ2sI")
_FLAGS: Final = b"\x85\x01"
# bit 8: bit 9 says something; bit 9: the parent is remote (SpanFlags)
_LOCAL: Final = 0x100
_REMOTE: Final = 0x300
_STATUS: Final = {"unset": 0, "ok": 1, "error": 2}

# A double is always eight bytes, so the time in the queue is one constant and one pack.
_LATENCY_KEY: Final = proto.attribute(0x4A, LATENCY, 0.0)[:-8]
_WITH_LATENCY: Final = struct.Struct(f"<BQBQ2sI{len(_LATENCY_KEY)}sd")

_OFFSET_KEY: Final = proto.text(0x0A, OFFSET)
_CACHED: Final = 4096
_partitions: dict[int, bytes] = {}
_tails: dict[int, bytes] = {}
_MORE: Final = tuple(bytes((digit | 0x80,)) for digit in range(128))
_offset_heads: Final = tuple(
    # by the length of the varint: the attribute's tag, its length, its key, the AnyValue's tag and length
    b"\x4a" + varint(len(_OFFSET_KEY) + 3 + size) + _OFFSET_KEY + bytes((0x12, 1 + size, 0x18))
    for size in range(11)
)


def _partition(number: int) -> bytes:
    encoded = _partitions.get(number)
    if encoded is None:
        if len(_partitions) >= _CACHED:  # no topic has that many: a guard, not a policy
            _partitions.clear()
        encoded = _partitions[number] = proto.attribute(0x4A, PARTITION, str(number))
    return encoded


def _offset(number: int) -> bytes:
    if number < 16384:
        digits = varint(number)
    else:
        # Offsets of a partition count up: what is above the lowest 14 bits is the same 16,384 times in a row.
        high = number >> 14
        tail = _tails.get(high)
        if tail is None:
            if len(_tails) >= _CACHED:
                _tails.clear()
            tail = _tails[high] = varint(high)
        digits = _MORE[number & 0x7F] + _MORE[number >> 7 & 0x7F] + tail
    return _offset_heads[len(digits)] + digits


def encode_span(span: Span) -> bytes:
    """A finished span as the bytes of a Span message."""
    clock = span.template.pipeline.clock
    offset = clock.offset
    own = span.identity
    parent = span.parent
    details = span.details
    named = _named(span) if details is not None and details.attributes and _overrides(span, details) else None
    if isinstance(span, ProcessSpan) and parent is not None and parent is span.origin and named is None:
        body = _process(span, own, parent, offset)
    else:
        if parent is None:
            body = unhexlify(b"0a10%b1208%b" % (own[3:35], own[36:52]))
        else:
            body = unhexlify(b"0a10%b1208%b2208%b" % (own[3:35], own[36:52], parent[36:52]))
        flags = (_REMOTE if span.remote else _LOCAL) | own[54] & 3
        body += _TIMES.pack(0x39, span.begun + offset, 0x41, span.ended + offset, _FLAGS, flags)
        if named is not None:
            body += named
        elif isinstance(span, MessageSpan):
            body += span.template.encoded
            if span.partition >= 0:
                body += _partition(span.partition)
            if span.offset >= 0:
                body += _offset(span.offset)
            if isinstance(span, ProcessSpan) and (latency := span.latency()) is not None:
                body += _LATENCY_KEY + _DOUBLE.pack(latency)
        else:
            body += span.template.encoded
        if isinstance(span, BatchSpan):
            body += _batch_links(span)
        else:
            body += b"".join([_link(link) for link in span.own_links()])
    if span.state is not None:
        body += proto.text(0x1A, span.state)
    if details is not None:
        body += _details(details, named is None)
    return body


def _overrides(span: Span, details: Details) -> bool:
    """Whether the user's attributes name one that the operation has: a key must not stand twice."""
    own = details.attributes.keys()
    return not (own.isdisjoint(span.template.attributes) and own.isdisjoint(span.own_attributes()))


def _named(span: Span) -> bytes:
    """Name, kind and every attribute, where the template's bytes cannot be used."""
    return (
        proto.text(0x2A, span.name)
        + bytes((0x30, KINDS[span.kind]))
        + b"".join([proto.attribute(0x4A, key, value) for key, value in span.attributes.items()])
    )


def _process(span: ProcessSpan, own: bytes, parent: bytes, offset: int) -> bytes:
    """The common case: the handler of one message, the child of the message's context and linked to it."""
    trace = own[3:35]
    above = parent[36:52]
    body = (
        unhexlify(
            b"0a10%b1208%b2208%b6a210a10%b1208%b350%b030000" % (trace, own[36:52], above, trace, above, parent[54:])
        )
        + span.template.encoded
    )
    begun = span.begun + offset
    flags = _REMOTE | own[54] & 3
    sent = span.timestamp
    if sent < 0:
        body += _TIMES.pack(0x39, begun, 0x41, span.ended + offset, _FLAGS, flags)
    else:
        waited = begun / 1e6 - sent
        body += _WITH_LATENCY.pack(
            0x39,
            begun,
            0x41,
            span.ended + offset,
            _FLAGS,
            flags,
            _LATENCY_KEY,
            waited if waited > 0.0 else 0.0,
        )
    if span.partition >= 0:
        body += _partition(span.partition)
    if span.offset >= 0:
        body += _offset(span.offset)
    return body


def _batch_links(span: BatchSpan) -> bytes:
    out = []
    for origin, partition, offset, destination in span.origins:
        body = unhexlify(b"0a10%b1208%b350%b030000" % (origin[3:35], origin[36:52], origin[54:]))
        # the keys are those of a span's attributes; on a link their field is number 4
        if partition >= 0:
            body += b"\x22" + _partition(partition)[1:]
        if offset >= 0:
            body += b"\x22" + _offset(offset)[1:]
        if destination is not None:
            body += proto.attribute(0x22, "messaging.destination.name", destination)
        out.append(proto.delimited(0x6A, body))
    return b"".join(out)


def _link(link: Link) -> bytes:
    origin = link.context.identity
    assert origin is not None, "add_link refuses a context without a trace"
    body = unhexlify(b"0a10%b1208%b350%b030000" % (origin[3:35], origin[36:52], origin[54:]))
    if link.context.state:
        body += proto.text(0x1A, link.context.state)
    body += b"".join(proto.attribute(0x22, key, value) for key, value in link.attributes.items())
    return proto.delimited(0x6A, body)


def _details(details: Details, attributes: bool) -> bytes:
    out = [proto.attribute(0x4A, key, value) for key, value in details.attributes.items()] if attributes else []
    for event in details.events:
        body = struct.pack("<BQ", 0x09, event.timestamp) + proto.text(0x12, event.name)
        body += b"".join(proto.attribute(0x1A, key, value) for key, value in event.attributes.items())
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
        out.append(proto.delimited(0x7A, body + bytes((0x18, _STATUS[details.status]))))
    return b"".join(out)


def request(spans: Sequence[Span]) -> bytes:
    """Spans as the bytes of a TracesData: a ResourceSpans for each tracer among them."""
    by_pipeline: dict[Pipeline, list[bytes]] = {}
    for span in spans:
        body = encode_span(span)
        size = len(body)
        out = by_pipeline.get(pipeline := span.template.pipeline)
        if out is None:
            out = by_pipeline[pipeline] = []
        out += (b"\x12", VARINTS[size] if size < 2048 else varint(size), body)
    return b"".join([wrap(pipeline, b"".join(out)) for pipeline, out in by_pipeline.items()])


def wrap(pipeline: Pipeline, spans: bytes) -> bytes:
    """A TracesData of one tracer around the bytes of its spans, each with its tag and length."""
    scope, resource = envelope(pipeline)
    return proto.delimited(0x0A, resource + proto.delimited(0x12, scope + spans))


def envelope(pipeline: Pipeline) -> tuple[bytes, bytes]:
    """The scope and the resource of a tracer's spans, as fields; made once."""
    made = pipeline.envelope
    if made is None:
        resource = b"".join([proto.attribute(0x0A, key, value) for key, value in pipeline.resource.items()])
        scope = proto.text(0x0A, SCOPE_NAME) + proto.text(0x12, VERSION)
        made = pipeline.envelope = (proto.delimited(0x0A, scope), proto.delimited(0x0A, resource))
    return made
