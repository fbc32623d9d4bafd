"""Header values as text: every transport hands over str in one client and bytes in the next.

A value that is neither, or that is not UTF-8, is no text: it is *absent*, and never an error, because the reader of a
message must not suffer from what its writer put into a header.
"""

from __future__ import annotations

__all__ = ["read", "write"]


def read(value: object) -> str | None:
    """The text of a header value; None where it has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None


def write(value: str) -> bytes:
    """The bytes of a header value. A lone surrogate, which no encoding can carry, becomes a question mark."""
    return value.encode("utf-8", "replace")
