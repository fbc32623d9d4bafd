"""The protobuf wire format, as much of it as OTLP needs.

Protocol Buffers, "Encoding": a field is a tag (number << 3 | wire type) and its content; wire type 0 is a varint, 1
eight bytes, 2 a length and that many bytes, 5 four bytes. AnyValue: 1 string, 2 bool, 3 int, 4 double, 5 array, 7 bytes
(opentelemetry/proto/common/v1/common.proto).
"""

from __future__ import annotations

import struct
from typing import Final

from .attributes import Attribute

__all__ = ["VARINTS", "any_value", "attribute", "delimited", "key_value", "text", "varint"]

_DOUBLE: Final = struct.Struct("<Bd")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


#: Most lengths of spans and attributes are below this.
VARINTS: Final = tuple(_varint(number) for number in range(2048))


def varint(number: int) -> bytes:
    """A number; a negative one as its 64 bits (ten bytes), as an int64 field has it."""
    if 0 <= number < 2048:
        return VARINTS[number]
    return _varint(number & 0xFFFF_FFFF_FFFF_FFFF)


def delimited(tag: int, body: bytes) -> bytes:
    """A field of wire type 2. ``tag``: one byte, so a field number up to 15."""
    return bytes((tag,)) + varint(len(body)) + body


def text(tag: int, value: str) -> bytes:
    """A string field. A lone surrogate becomes a question mark: readers drop invalid UTF-8."""
    return delimited(tag, value.encode("utf-8", "replace"))


def any_value(value: Attribute) -> bytes:
    """An AnyValue."""
    if isinstance(value, str):
        return text(0x0A, value)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value)
    if isinstance(value, float):
        return _DOUBLE.pack(0x21, value)
    if isinstance(value, bytes):
        return delimited(0x3A, value)
    return delimited(0x2A, b"".join(delimited(0x0A, any_value(item)) for item in value))


def key_value(key: str, value: Attribute) -> bytes:
    """A KeyValue."""
    return text(0x0A, key) + delimited(0x12, any_value(value))


def attribute(tag: int, key: str, value: Attribute) -> bytes:
    """A field that holds a KeyValue."""
    return delimited(tag, key_value(key, value))
