"""The spans of messages to OTLP bytes: the short way, for nearly all of them.

What a template knows is copied; what a message adds is two or three conversions from hex and one Struct. Fields may
stand in any order, so what is constant stands side by side. A span comes as four pieces, which whoever makes the batch
joins once for all of them. A span with details (attributes of its own, events, an error) is encoded in encode.py.
Send and process spans have a flat function each, alike in places: a call would be a twentieth of a span.
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

#: The bytes of a Span message, in order.
Pieces = tuple[bytes, bytes, bytes, bytes]

# SpanFlags. Bit 8: bit 9 says something; bit 9: the parent is remote.
LOCAL: Final = 0x100
REMOTE: Final = 0x300
# How much of what was encoded is kept: partitions of a topic, stretches of offsets, and keys of clients' own spans.
_PARTITIONS: Final = 512
_OFFSETS: Final = 4096
_KEYS: Final = 64

# Span: 1 trace_id, 2 span_id, 4 parent_span_id, 7 start_time_unix_nano, 8 end_time_unix_nano, 16 flags. By the trace's
# two flags: what stands between and behind the fields that differ from span to span.
_ROOT: Final = struct.Struct("<2s16s2s8sBQBQ6s")
_CHILD: Final = struct.Struct("<2s16s2s8s2s8sBQBQ6s")
_FLAGS_LOCAL: Final = tuple(struct.pack("<2sI", b"\x85\x01", LOCAL | flags) for flags in range(4))
_FLAGS_REMOTE: Final = tuple(struct.pack("<2sI", b"\x85\x01", REMOTE | flags) for flags in range(4))
# The same with a Link (13) of 33 bytes to the parent: 1 trace_id, 2 span_id, 6 flags.
_LINKED: Final = struct.Struct("<2s16s2s8s2s8sBQBQ10s16s2s8s5s")
_FLAGS_AND_LINK: Final = tuple(flags + b"\x6a\x21\x0a\x10" for flags in _FLAGS_REMOTE)
_LINK_FLAGS: Final = tuple(struct.pack("<BI", 0x35, REMOTE | flags) for flags in range(4))
# And with the time in the queue: a double is always eight bytes, so the rest of it is one constant.
_LATENCY_KEY: Final = proto.attribute(0x4A, LATENCY, 0.0)[:-8]
_WAITED: Final = struct.Struct(f"{_LINKED.format}{len(_LATENCY_KEY)}sd")


def pieces(span: Span) -> Pieces | None:
    """A finished span of a message; None for one that goes the long way."""
    if span.details is None and span.state is None:
        kind = type(span)
        try:
            way = _ways[kind]
        except KeyError:
            way = _way_of(kind)
        return way(span)
    return None


def _long_way(span: Span) -> None:
    """None: spans of other classes are encoded in encode.py."""


def _way_of(kind: type[Span]) -> Callable[[Any], Pieces | None]:
    """How spans of a class are encoded; kept, since a client has a class or two."""
    way: Callable[[Any], Pieces | None] = _long_way
    if issubclass(kind, MessageSpan):
        adds = kind.extra_attributes is not MessageSpan.extra_attributes
        if issubclass(kind, SendSpan):
            way = _sent_with_extra if adds else _sent
        elif issubclass(kind, ProcessSpan):
            way = _processed_with_extra if adds else _processed
    return _ways.setdefault(kind, way)


def _sent(span: SendSpan) -> Pieces:
    """A message that was sent."""
    template = span.template
    own = span.identity
    parent = span.parent
    clock = template.pipeline.clock.offset
    flags = (_FLAGS_REMOTE if span.parent_remote else _FLAGS_LOCAL)[own[54] & 3]
    if parent is None:
        head = _ROOT.pack(
            b"\x0a\x10", unhexlify(own[3:35]), b"\x12\x08", unhexlify(own[36:52]),
            0x39, span.begun_ns + clock, 0x41, span.ended + clock, flags,
        )  # fmt: skip
    else:
        head = _CHILD.pack(
            b"\x0a\x10", unhexlify(own[3:35]), b"\x12\x08", unhexlify(own[36:52]),
            b"\x22\x08", unhexlify(parent[36:52]),
            0x39, span.begun_ns + clock, 0x41, span.ended + clock, flags,
        )  # fmt: skip
    known = template.partitions.get(span.partition) or _known(template, span.partition)
    number = span.offset
    if number < 0:
        return head, known, b"", b""
    low, high = _offsets.get(number >> 7) or _offset(number)
    return head, known, low[number & 127], high


def _processed(span: ProcessSpan) -> Pieces | None:
    """The handler of one message, the child of the message's context and linked to it; None for another's child."""
    own = span.identity
    parent = span.parent
    if parent is None or parent is not span.origin:
        return None
    template = span.template
    clock = template.pipeline.clock.offset
    trace = unhexlify(own[3:35])
    above = unhexlify(parent[36:52])
    begun = span.begun_ns + clock
    sent = span.timestamp
    if isinstance(sent, str):
        sent = span.sent_at()
    if sent >= 0:
        waited = begun / 1e6 - sent
        head = _WAITED.pack(
            b"\x0a\x10", trace, b"\x12\x08", unhexlify(own[36:52]), b"\x22\x08", above,
            0x39, begun, 0x41, span.ended + clock, _FLAGS_AND_LINK[own[54] & 3],
            trace, b"\x12\x08", above, _LINK_FLAGS[parent[54] & 3],
            _LATENCY_KEY, waited if waited > 0.0 else 0.0,
        )  # fmt: skip
    else:
        head = _LINKED.pack(
            b"\x0a\x10", trace, b"\x12\x08", unhexlify(own[36:52]), b"\x22\x08", above,
            0x39, begun, 0x41, span.ended + clock, _FLAGS_AND_LINK[own[54] & 3],
            trace, b"\x12\x08", above, _LINK_FLAGS[parent[54] & 3],
        )  # fmt: skip
    known = template.partitions.get(span.partition) or _known(template, span.partition)
    number = span.offset
    if number < 0:
        return head, known, b"", b""
    low, high = _offsets.get(number >> 7) or _offset(number)
    return head, known, low[number & 127], high


# ---------------------------------------------------------------------- partition and offset


def _known(template: Template, number: int) -> bytes:
    """What a template says, and the partition, -1 for none: kept with the template."""
    if len(template.partitions) >= _PARTITIONS:
        template.partitions.clear()
    known = template.partitions[number] = template.encoded + (partition(number) if number >= 0 else b"")
    return known


@lru_cache(_OFFSETS)
def partition(number: int, tag: int = 0x4A) -> bytes:
    """The attribute that says a partition. ``tag``: the field it is in, a span's attributes."""
    return proto.attribute(tag, PARTITION, str(number))


# Offsets of a partition count up, and a varint begins with the lowest seven bits: the rest of it is the same for 128
# messages. What stands before the rest (the attribute's tag, its length, its key, the AnyValue's tag and length, and
# those seven bits) is made ahead, for each length that the varint may have.
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
    made = _offsets[number >> 7] = (_OFFSET_HEADS[len(digits)], digits[1:])
    return made


def offset(number: int) -> bytes:
    """The attribute that says an offset."""
    low, high = _offsets.get(number >> 7) or _offset(number)
    return low[number & 127] + high


# ---------------------------------------------------------------------- what a client's own class of span has


def _sent_with_extra(span: SendSpan) -> Pieces:
    return _with_extra(span, _sent(span))


def _processed_with_extra(span: ProcessSpan) -> Pieces | None:
    made = _processed(span)
    return None if made is None else _with_extra(span, made)


def _with_extra(span: SendSpan | ProcessSpan, made: Pieces) -> Pieces:
    """The same with what the span's class adds: short texts and numbers, nearly always."""
    head, known, low, high = made
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
    return head, known, low, b"".join(out)


# What stands before the content of an attribute (its tag, its length, its key, the AnyValue's tag and length, and the
# value's), by the content's length: of a text as long as each length is one byte, and of a number's varint. The keys
# are those that clients' own classes of span have: a handful.
_Heads = tuple[tuple[bytes, ...], tuple[bytes, ...]]
_heads: dict[str, _Heads] = {}


def _head(key: str) -> _Heads:
    named = proto.text(0x0A, key)
    texts = tuple(
        bytes((0x4A, len(named) + 4 + size)) + named + bytes((0x12, 2 + size, 0x0A, size))
        for size in range(max(0, 124 - len(named)))
    )
    numbers = tuple(
        b"\x4a" + varint(len(named) + 3 + size) + named + bytes((0x12, 1 + size, 0x18)) for size in range(11)
    )
    if len(_heads) >= _KEYS:
        _heads.clear()
    made = _heads[key] = (texts, numbers)
    return made


_ways: dict[type[Span], Callable[[Any], Pieces | None]] = {SendSpan: _sent, ProcessSpan: _processed}
