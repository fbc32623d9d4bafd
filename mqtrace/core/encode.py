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
from .attributes import Attribute
from .details import Details, Link
from .message import LATENCY, OFFSET, PARTITION, BatchSpan, ProcessSpan, SendSpan
from .pipeline import Pipeline
from .proto import VARINTS, varint
from .span import Span
from .template import KINDS

__all__ = ["SCOPE_NAME", "encode_span", "request", "wrap"]

SCOPE_NAME: Final = "mqtrace"

# Span: 1 trace_id, 2 span_id, 4 parent_span_id, 7 start_time_unix_nano, 8 end_time_unix_nano, 16 flags
_ROOT: Final = struct.Struct("<2s16s2s8sBQBQ2sI")
_CHILD: Final = struct.Struct("<2s16s2s8s2s8sBQBQ2sI")
_FLAGS: Final = b"\x85\x01"
# the same with a Link (13) of 33 bytes to the parent: 1 trace_id, 2 span_id, 6 flags
_LINKED: Final = struct.Struct("<2s16s2s8s2s8sBQBQ2sI4s16s2s8sBI")
# bit 8: bit 9 says something; bit 9: the parent is remote (SpanFlags)
_LOCAL: Final = 0x100
_REMOTE: Final = 0x300
_STATUS: Final = {"unset": 0, "ok": 1, "error": 2}

# A double is always eight bytes, so the time in the queue is one constant and one pack.
_LATENCY_KEY: Final = proto.attribute(0x4A, LATENCY, 0.0)[:-8]
_LATENCY: Final = struct.Struct(f"<{len(_LATENCY_KEY)}sd")

_OFFSET_KEY: Final = proto.text(0x0A, OFFSET)
_CACHED: Final = 4096
_partitions: dict[int, bytes] = {}
# Keys of what clients' own classes of span have: a handful.
_names: dict[str, bytes] = {}
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
    details = span.details
    if details is None and span.state is None:
        kind = type(span)
        if kind is ProcessSpan:
            if span.parent is span.origin and span.parent is not None:  # type: ignore[attr-defined]  # a ProcessSpan
                return _process(span)  # type: ignore[arg-type]  # as above
        elif kind is SendSpan:
            return _send(span)  # type: ignore[arg-type]  # a SendSpan, by the line above
        elif isinstance(span, ProcessSpan):
            if span.parent is span.origin and span.parent is not None:
                return _process(span) + b"".join([_further(key, value) for key, value in span.further().items()])
        elif isinstance(span, SendSpan):
            return _send(span) + b"".join([_further(key, value) for key, value in span.further().items()])
    return _any(span, details)


def _further(key: str, value: Attribute) -> bytes:
    """An attribute that a client's own class of span has: a short text or a small number, nearly always."""
    named = _names.get(key)
    if named is None:
        named = _names[key] = proto.text(0x0A, key)
    if type(value) is str:
        text = value.encode("utf-8", "replace")
        size = len(text)
        if size + len(named) < 124:  # so every length is one byte
            return bytes((0x4A, len(named) + 4 + size)) + named + bytes((0x12, 2 + size, 0x0A, size)) + text
    elif type(value) is int:
        digits = VARINTS[value] if 0 <= value < 2048 else varint(value)
        return bytes((0x4A, len(named) + 3 + len(digits))) + named + bytes((0x12, 1 + len(digits), 0x18)) + digits
    return proto.attribute(0x4A, key, value)


def _send(span: SendSpan) -> bytes:
    """The common case: a message that was sent, and nothing more to say."""
    template = span.template
    partition = span.partition
    return b"".join(
        (
            _head(span, template.pipeline.clock.offset),
            template.encoded,
            (_partitions.get(partition) or _partition(partition)) if partition >= 0 else b"",
            _offset(span.offset) if span.offset >= 0 else b"",
        )
    )


def _process(span: ProcessSpan) -> bytes:
    """The common case: the handler of one message, the child of the message's context and linked to it."""
    own = span.identity
    parent = span.parent
    assert parent is not None, "the caller has looked"
    template = span.template
    clock = template.pipeline.clock.offset
    partition = span.partition
    trace = unhexlify(own[3:35])
    above = unhexlify(parent[36:52])
    begun = span.begun + clock
    sent = span.timestamp
    waited = begun / 1e6 - sent
    return b"".join(
        (
            _LINKED.pack(
                b"\x0a\x10", trace, b"\x12\x08", unhexlify(own[36:52]), b"\x22\x08", above,
                0x39, begun, 0x41, span.ended + clock, _FLAGS, _REMOTE | own[54] & 3,
                b"\x6a\x21\x0a\x10", trace, b"\x12\x08", above, 0x35, _REMOTE | parent[54] & 3,
            ),
            template.encoded,
            (_partitions.get(partition) or _partition(partition)) if partition >= 0 else b"",
            _offset(span.offset) if span.offset >= 0 else b"",
            _LATENCY.pack(_LATENCY_KEY, waited if waited > 0.0 else 0.0) if sent >= 0 else b"",
        )
    )  # fmt: skip


def _head(span: Span, clock: int) -> bytes:
    """Ids, times and flags."""
    own = span.identity
    parent = span.parent
    trace = unhexlify(own[3:35])
    flags = (_REMOTE if span.remote else _LOCAL) | own[54] & 3
    if parent is None:
        return _ROOT.pack(
            b"\x0a\x10", trace, b"\x12\x08", unhexlify(own[36:52]),
            0x39, span.begun + clock, 0x41, span.ended + clock, _FLAGS, flags,
        )  # fmt: skip
    return _CHILD.pack(
        b"\x0a\x10", trace, b"\x12\x08", unhexlify(own[36:52]), b"\x22\x08", unhexlify(parent[36:52]),
        0x39, span.begun + clock, 0x41, span.ended + clock, _FLAGS, flags,
    )  # fmt: skip


def _any(span: Span, details: Details | None) -> bytes:
    """Every other span, field by field."""
    body = _head(span, span.template.pipeline.clock.offset)
    named = details is not None and bool(details.attributes) and _overrides(span, details)
    if named:
        body += _named(span)
    else:
        body += span.template.encoded
        body += b"".join([proto.attribute(0x4A, key, value) for key, value in span.own_attributes().items()])
    if isinstance(span, BatchSpan):
        body += _batch_links(span)
    else:
        body += b"".join([_link(link) for link in span.own_links()])
    if span.state is not None:
        body += proto.text(0x1A, span.state)
    if details is not None:
        body += _details(details, not named)
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
    if not spans:
        return b""
    pipeline = spans[0].template.pipeline
    out: list[bytes] = []
    others: list[Span] = []
    for span in spans:
        if span.template.pipeline is not pipeline:
            others.append(span)
            continue
        body = encode_span(span)
        size = len(body)
        out += (b"\x12", VARINTS[size] if size < 2048 else varint(size), body)
    encoded = wrap(pipeline, b"".join(out))
    return encoded + request(others) if others else encoded


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
