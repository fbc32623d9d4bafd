"""Identities: ``traceparent`` values as 55 bytes, made in blocks and checked by shape.

W3C Trace Context level 2, section 3.2: ``00-{32 hex}-{16 hex}-{2 hex}``, lowercase. Making 256 random ids with one
read of the system's randomness and one pass to hex costs 0.2 us an identity; one by one it is more than twice that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

__all__ = ["LENGTH", "fresh", "is_valid", "new_span_id", "reset", "use_randomness"]

LENGTH: Final = 55
_BLOCK: Final = 256

_randomness: Callable[[int], bytes] = os.urandom
_roots: list[bytes] = []
_spans: list[bytes] = []

# Every lowercase hex digit becomes "0", so that one comparison checks length, dashes and alphabet at once.
_TO_SHAPE: Final = bytes.maketrans(b"0123456789abcdef", b"0" * 16)
_SHAPE: Final = b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00"
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16


def is_valid(value: bytes) -> bool:
    """Whether this is a version 00 ``traceparent``, to the letter. What else may be one, the parser decides."""
    return (
        value.translate(_TO_SHAPE) == _SHAPE
        and value[:2] == b"00"
        and value[3:35] != _NO_TRACE
        and value[36:52] != _NO_SPAN
    )


def fresh() -> bytes:
    """The identity of a new root span: random, sampled (flags 03)."""
    try:
        return _roots.pop()
    except IndexError:
        return _refill_roots()


def new_span_id() -> bytes:
    """16 lowercase hex characters, random, not all zero."""
    try:
        return _spans.pop()
    except IndexError:
        return _refill_spans()


def _refill_roots() -> bytes:
    text = _randomness(24 * _BLOCK).hex().encode("ascii")
    block = [
        b"00-%b-%b-03" % (text[at : at + 32], text[at + 32 : at + 48])
        for at in range(0, 48 * _BLOCK, 48)
        # an id of zeros is invalid (section 3.2.2.3): one in 2**64, but an injected randomness may give it
        if text[at : at + 32] != _NO_TRACE and text[at + 32 : at + 48] != _NO_SPAN
    ]
    if not block:
        return _refill_roots()
    _roots.extend(block[1:])
    return block[0]


def _refill_spans() -> bytes:
    text = _randomness(8 * _BLOCK).hex().encode("ascii")
    block = [text[at : at + 16] for at in range(0, 16 * _BLOCK, 16) if text[at : at + 16] != _NO_SPAN]
    if not block:
        return _refill_spans()
    _spans.extend(block[1:])
    return block[0]


def reset() -> None:
    """Forget the ids made ahead: a forked child would give them out a second time."""
    _roots.clear()
    _spans.clear()


def use_randomness(source: Callable[[int], bytes] = os.urandom) -> None:
    """Take random bytes from ``source(count)``: for tests. Without an argument, from the system again."""
    global _randomness
    _randomness = source
    reset()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=reset)
