"""Header values as text: on every transport they are str in one client and bytes in another.

A value that is neither, or that is not UTF-8, is not text: it is *absent*, and never an error, because the reader of a
message must not suffer from what its writer put into a header.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LIMIT", "bounded", "read", "write"]

#: Characters or bytes. A longer header is not a context of any format, and is not decoded.
LIMIT: Final = 1 << 16


def read(value: object) -> str | None:
    """The text of a header value; None if it is not text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None


def bounded(value: object) -> str | None:
    """The same; None also for a text that is longer than :data:`LIMIT`."""
    if type(value) is str:  # the common case without a call
        return value if len(value) <= LIMIT else None
    if isinstance(value, str | bytes | bytearray) and len(value) > LIMIT:
        return None
    return read(value)


def write(value: str) -> bytes:
    """The bytes of a header value. A lone surrogate, which no encoding can carry, becomes a question mark."""
    return value.encode("utf-8", "replace")
