"""The protobuf wire format (Protocol Buffers, "Encoding"), read as far as OTLP uses it.

A field is a tag (number << 3 | wire type) and its content. Written by hand so that reading needs no protobuf runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["BYTES", "FIXED32", "FIXED64", "VARINT", "Malformed", "field_at", "fields", "varint"]

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

Field = tuple[int, int, Any]


class Malformed(ValueError):
    """These bytes are not a TracesData, or a span in them is not a span."""


def fields(data: bytes) -> Iterator[Field]:
    """Number, wire type and value of each field. Groups (wire types 3 and 4) went out of use before OTLP began."""
    at, end = 0, len(data)
    while at < end:
        number, wire, value, at = field_at(data, at, end)
        yield number, wire, value


def field_at(data: bytes, at: int, end: int) -> tuple[int, int, Any, int]:
    """Number, wire type and value of the field that begins at ``at``, and where what follows it begins."""
    tag, at = varint(data, at, end)
    number, wire = tag >> 3, tag & 7
    if not 0 < number < 1 << 29:
        raise Malformed("a field has no number")
    if wire == VARINT:
        value, at = varint(data, at, end)
        return number, wire, value, at
    if wire == BYTES:
        size, at = varint(data, at, end)
    elif wire == FIXED64:
        size = 8
    elif wire == FIXED32:
        size = 4
    else:
        raise Malformed(f"a field has wire type {wire}")
    if size > end - at:
        raise Malformed("a field is longer than what is left")
    return number, wire, data[at : at + size], at + size


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number that begins at ``at``, and where what follows it begins."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise Malformed("a number is longer than ten bytes")
    raise Malformed("a number is cut short")
