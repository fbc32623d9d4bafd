"""The spans of messages to OTLP bytes: the short way, for nearly all of them.

The bytes of the template are copied. A message adds two or three conversions from hex and one Struct. Fields may come
in any order, so constant ones are side by side. A span is four pieces; those of a batch are joined once. A span with
details (attributes that the user set, events, an error) is encoded in encode.py. Send and process spans have a flat
function each, alike in places: a call would be a twentieth of a span.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from . import proto
from .message_spans import LATENCY, OFFSET, PARTITION, MessageSpan, ProcessSpan, SendSpan
from .proto import VARINTS, varint
from .span import Span
from .template import Template

__all__ = ["LOCAL", "REMOTE", "Pieces", "offset", "partition", "pieces"]

#: The bytes of a Span message: ids and times; name, kind, attributes and partition; the offset, in two pieces.
Pieces = tuple[bytes, bytes, bytes, bytes]

# SpanFlags. Bit 9: the parent is remote; bit 8: bit 9 is set as it should be.
LOCAL: Final = 0x100
REMOTE: Final = 0x300
# How many encoded partitions of a topic, ranges of offsets, and keys of clients' attributes are kept.
_PARTITIONS: Final = 512
_OFFSETS: Final = 4096
_KEYS: Final = 64

# Span: 1 trace_id, 2 span_id, 4 parent_span_id, 7 start_time_unix_nano, 8 end_time_unix_nano, 16 flags. Below
# it the bytes of field 16, by the two flags of the trace.
_ROOT: Final = struct.Struct("<2s16s2s8sBQBQ6s")
_CHILD: Final = struct.Struct("<2s16s2s8s2s8sBQBQ6s")
_FLAGS_LOCAL: Final = tuple(struct.pack("<2sI", b"\x85\x01", LOCAL | flags) for flags in range(4))
_FLAGS_REMOTE: Final = tuple(struct.pack("<2sI", b"\x85\x01", REMOTE | flags) for flags in range(4))
# The same with a Link (13) of 33 bytes to the parent: 1 trace_id, 2 span_id, 6 flags.
_LINKED: Final = struct.Struct("<2s16s2s8s2s8sBQBQ10s16s2s8s5s")
_FLAGS_AND_LINK: Final = tuple(flags + b"\x6a\x21\x0a\x10" for flags in _FLAGS_REMOTE)
_LINK_FLAGS: Final = tuple(struct.pack("<BI", 0x35, REMOTE | flags) for flags in range(4))
# And with the time in the queue: a double is always eight bytes, so all before them is one constant.
_LATENCY_KEY: Final = proto.attribute(0x4A, LATENCY, 0.0)[:-8]
_WAITED: Final = struct.Struct(f"{_LINKED.format}{len(_LATENCY_KEY)}sd")


def pieces(span: Span) -> Pieces | None:
    """A finished span of a message; None if it has to take the long way."""
    if span.details is None and span.state is None:
        kind = type(span)
        try:
            way = _ways[kind]
        except KeyError:
            way = _way_of(kind)
        return way(span)
    return None


def _long_way(span: Span) -> None:
    """Spans of other classes are encoded in encode.py."""


def _way_of(kind: type[Span]) -> Callable[[Any], Pieces | None]:
    """The function that encodes spans of a class; kept, because a client has a class or two."""
    way: Callable[[Any], Pieces | None] = _long_way
    if issubclass(kind, MessageSpan):
        adds = kind.extra_attributes is not MessageSpan.extra_attributes
        if issubclass(kind, SendSpan):
            way = _send_with_extra if adds else _send
        elif issubclass(kind, ProcessSpan):
            way = _process_with_extra if adds else _process
    return _ways.setdefault(kind, way)


def _send(span: SendSpan) -> Pieces:
    template = span.template
    identity = span.identity
    parent = span.parent
    clock = template.pipeline.clock.offset
    flags = (_FLAGS_REMOTE if span.parent_remote else _FLAGS_LOCAL)[identity[54] & 3]
    if parent is None:
        head = _ROOT.pack(
            b"\x0a\x10", unhexlify(identity[3:35]), b"\x12\x08", unhexlify(identity[36:52]),
            0x39, span.begun_ns + clock, 0x41, span.ended + clock, flags,
        )  # fmt: skip
    else:
        head = _CHILD.pack(
            b"\x0a\x10", unhexlify(identity[3:35]), b"\x12\x08", unhexlify(identity[36:52]),
            b"\x22\x08", unhexlify(parent[36:52]),
            0x39, span.begun_ns + clock, 0x41, span.ended + clock, flags,
        )  # fmt: skip
    operation = template.partitions.get(span.partition) or _operation(template, span.partition)
    number = span.offset
    if number < 0:
        return head, operation, b"", b""
    low, high = _offsets.get(number >> 7) or _offset(number)
    return head, operation, low[number & 127], high


def _process(span: ProcessSpan) -> Pieces | None:
    """For a span that is a child of the message's context, and linked to it; None for a child of another span."""
    identity = span.identity
    parent = span.parent
    if parent is None or parent is not span.origin:
        return None
    template = span.template
    clock = template.pipeline.clock.offset
    trace_id = unhexlify(identity[3:35])
    parent_id = unhexlify(parent[36:52])
    begun_ns = span.begun_ns + clock
    sent_ms = span.timestamp
    if isinstance(sent_ms, str):
        sent_ms = span.sent_at()
    if sent_ms >= 0:
        waited_ms = begun_ns / 1e6 - sent_ms
        head = _WAITED.pack(
            b"\x0a\x10", trace_id, b"\x12\x08", unhexlify(identity[36:52]), b"\x22\x08", parent_id,
            0x39, begun_ns, 0x41, span.ended + clock, _FLAGS_AND_LINK[identity[54] & 3],
            trace_id, b"\x12\x08", parent_id, _LINK_FLAGS[parent[54] & 3],
            _LATENCY_KEY, waited_ms if waited_ms > 0.0 else 0.0,
        )  # fmt: skip
    else:
        head = _LINKED.pack(
            b"\x0a\x10", trace_id, b"\x12\x08", unhexlify(identity[36:52]), b"\x22\x08", parent_id,
            0x39, begun_ns, 0x41, span.ended + clock, _FLAGS_AND_LINK[identity[54] & 3],
            trace_id, b"\x12\x08", parent_id, _LINK_FLAGS[parent[54] & 3],
        )  # fmt: skip
    operation = template.partitions.get(span.partition) or _operation(template, span.partition)
    number = span.offset
    if number < 0:
        return head, operation, b"", b""
    low, high = _offsets.get(number >> 7) or _offset(number)
    return head, operation, low[number & 127], high


# ---------------------------------------------------------------------- partition and offset


def _operation(template: Template, number: int) -> bytes:
    """The template's bytes and the partition's, kept with the template. ``number``: -1 without a partition."""
    if len(template.partitions) >= _PARTITIONS:
        template.partitions.clear()
    encoded = template.partitions[number] = template.encoded + (partition(number) if number >= 0 else b"")
    return encoded


@lru_cache(_OFFSETS)
def partition(number: int, tag: int = 0x4A) -> bytes:
    """The attribute for a partition. ``tag``: of the field it is in; a span's attributes if left out."""
    return proto.attribute(tag, PARTITION, str(number))


# Offsets of a partition count up, and a varint begins with the lowest seven bits: its other bytes are the same for 128
# messages. All before those (the attribute's tag, its length, its key, the AnyValue's tag and length, and the seven
# bits) is encoded here, for each length that the varint may have.
_OFFSET_KEY: Final = proto.text(0x0A, OFFSET)
_OFFSET_HEADS: Final = tuple(
    tuple(
        b"\x4a" + varint(len(_OFFSET_KEY) + 3 + size) + _OFFSET_KEY
        + bytes((0x12, 1 + size, 0x18, low | 0x80 if size > 1 else low))
        for low in range(128)
    )
    for size in range(10)
)  # fmt: skip
_offsets: dict[int, tuple[tuple[bytes, ...], bytes]] = {}


def _offset(number: int) -> tuple[tuple[bytes, ...], bytes]:
    digits = varint(number)
    if len(_offsets) >= _OFFSETS:
        _offsets.clear()
    encoded = _offsets[number >> 7] = (_OFFSET_HEADS[len(digits)], digits[1:])
    return encoded


def offset(number: int) -> bytes:
    """The attribute for an offset."""
    low, high = _offsets.get(number >> 7) or _offset(number)
    return low[number & 127] + high


# ---------------------------------------------------------------------- attributes of a client's class of span


def _send_with_extra(span: SendSpan) -> Pieces:
    return _with_extra(span, _send(span))


def _process_with_extra(span: ProcessSpan) -> Pieces | None:
    pieces = _process(span)
    return None if pieces is None else _with_extra(span, pieces)


def _with_extra(span: SendSpan | ProcessSpan, pieces: Pieces) -> Pieces:
    """The pieces, and the attributes that the span's class adds: short texts and numbers, nearly always."""
    head, operation, low, high = pieces
    out = [high]
    for key, value in span.extra_attributes().items():
        texts, numbers = _heads.get(key) or _head(key)
        if type(value) is str:
            text = value.encode("utf-8", "replace")
            if len(text) < len(texts):
                out += (texts[len(text)], text)
                continue
        elif type(value) is int:
            digits = VARINTS[value] if 0 <= value < 2048 else varint(value)
            out += (numbers[len(digits)], digits)
            continue
        out.append(proto.attribute(0x4A, key, value))
    return head, operation, low, b"".join(out)


# All before the content of an attribute (its tag, its length, its key, the AnyValue's tag and length, and the value's),
# by the content's length: of a text as long as each length is one byte, and of a number's varint. Clients' classes of
# span have a handful of keys.
_Heads = tuple[tuple[bytes, ...], tuple[bytes, ...]]
_heads: dict[str, _Heads] = {}


def _head(key: str) -> _Heads:
    name = proto.text(0x0A, key)
    texts = tuple(
        bytes((0x4A, len(name) + 4 + size)) + name + bytes((0x12, 2 + size, 0x0A, size))
        for size in range(max(0, 124 - len(name)))
    )
    numbers = tuple(b"\x4a" + varint(len(name) + 3 + size) + name + bytes((0x12, 1 + size, 0x18)) for size in range(11))
    if len(_heads) >= _KEYS:
        _heads.clear()
    heads = _heads[key] = (texts, numbers)
    return heads


_ways: dict[type[Span], Callable[[Any], Pieces | None]] = {SendSpan: _send, ProcessSpan: _process}
