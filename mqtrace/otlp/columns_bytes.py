"""Parts of a span read from the bytes that nearly all writers use. A function returns None for any others.

Each returns what :mod:`mqtrace.otlp.read_proto` reads of the same bytes, which is used for all others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from .columns_record import Link
from .wire import Malformed, varint

__all__ = ["double", "link", "short_text", "text_pair", "whole"]

_HALVES: Final = struct.Struct(">QQ").unpack_from
_ID: Final = struct.Struct(">Q").unpack_from
_DOUBLE: Final = struct.Struct("<d").unpack_from
_NO_ATTRIBUTES: Final[Mapping[str, Any]] = {}


def whole(content: bytes) -> int | None:
    """An AnyValue (its tag and length before it) that is an int and nothing else; None for others."""
    if len(content) < 4 or content[1] != len(content) - 2 or content[2] != 0x18:
        return None
    try:
        value, at = varint(content, 3, len(content))
    except Malformed:
        return None
    return None if at != len(content) or value >> 63 else value


def double(content: bytes) -> float | None:
    if len(content) != 11 or content[1] != 9 or content[2] != 0x21:
        return None
    (value,) = _DOUBLE(content, 3)
    return float(value) if 0 <= value < float("inf") else None


def short_text(content: bytes) -> str | None:
    size = len(content) - 4
    if not 0 < size < 120 or content[1] != size + 2 or content[2] != 0x0A or content[3] != size:
        return None
    try:
        return content[4:].decode()
    except UnicodeDecodeError:
        return None


def text_pair(content: bytes) -> tuple[str, str] | None:
    """A KeyValue of a key and a text, both short, as nearly all are written; None for others."""
    size = len(content)
    if size > 120 or size < 8 or content[0] != 0x0A:
        return None
    at = 2 + content[1]
    if at + 4 > size or content[at] != 0x12 or content[at + 1] != size - at - 2 or content[at + 2] != 0x0A:
        return None
    if content[at + 3] != size - at - 4:
        return None
    try:
        return content[2:at].decode(), content[at + 4 :].decode()
    except UnicodeDecodeError:
        return None


def _whole_pair(content: bytes) -> tuple[str, int] | None:
    """A KeyValue of a key and a whole number."""
    at = 2 + content[1]
    if content[0] != 0x0A or content[at : at + 1] != b"\x12":
        return None
    value = whole(content[at:])
    return None if value is None else (content[2:at].decode(), value)


def link(content: bytes) -> Link | None:
    """A Span.Link: trace id, span id, then attributes of short texts and whole numbers, then flags."""
    size = len(content)
    if size < 28 or content[:2] != b"\x0a\x10" or content[18:20] != b"\x12\x08":
        return None
    hi, lo = _HALVES(content, 2)
    (span,) = _ID(content, 20)
    if not (hi or lo) or not span:
        return None
    if size == 28 or (size == 33 and content[28] == 0x35):
        return hi, lo, span, _NO_ATTRIBUTES
    attributes: dict[str, Any] = {}
    at = 28
    try:
        while at < size and content[at] == 0x22 and content[at + 1] < 0x80:
            end = at + 2 + content[at + 1]
            pair = text_pair(content[at + 2 : end]) or _whole_pair(content[at + 2 : end])
            if pair is None or end > size:
                return None
            attributes[pair[0]] = pair[1]
            at = end
    except (IndexError, UnicodeDecodeError):
        return None
    return (hi, lo, span, attributes) if at == size or (size - at == 5 and content[at] == 0x35) else None
