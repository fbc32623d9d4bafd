"""Identities: ``traceparent`` values as 55 bytes, made in blocks and checked by shape.

W3C Trace Context level 2, section 3.2: ``00-{32 hex}-{16 hex}-{2 hex}``, lowercase. Making 256 random ids with one
read of the system's randomness and one pass to hex costs 0.2 us an identity; one by one it is more than twice that.
A pattern checks one in 0.15 us, without a Python call; translating it to a shape and comparing takes twice as long.
Those of a batch are checked together, column by column, at half of that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

__all__ = ["LENGTH", "are_canonical", "fresh", "is_canonical", "is_valid", "new_span_id", "reset", "use_randomness"]

LENGTH: Final = 55
_BLOCK: Final = 256

_randomness: Callable[[int], bytes] = os.urandom
_roots: list[bytes] = []
_spans: list[bytes] = []

# Ids of zeros are invalid (sections 3.2.2.3 and 3.2.2.4).
_IDS: Final = rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-"
#: Whether bytes are a version 00 ``traceparent``. What else may be one, a higher version's, the parser decides.
is_valid: Final[Callable[[bytes], object]] = re.compile(_IDS + rb"[0-9a-f]{2}").fullmatch
#: Whether they are an identity: valid, and with no flags but those that level 2 defines (section 3.2.2.5).
is_canonical: Final[Callable[[bytes], object]] = re.compile(_IDS + rb"0[0-3]").fullmatch

_NO_TRACE: Final = b"-%b-" % (b"0" * 32)
_NO_SPAN: Final = b"-%b-" % (b"0" * 16)

_halves: Final = Struct("50s" * _BLOCK).unpack
_identities: Final = Struct("55s" * _BLOCK).unpack

# Where a traceparent has no digit of an id: its bytes there, and which.
_COLUMNS: Final = ((0, b"0"), (1, b"0"), (2, b"-"), (35, b"-"), (52, b"-"), (53, b"0"), (LENGTH, b" "))


def are_canonical(values: Sequence[bytes]) -> bool:
    """Whether :data:`is_canonical` holds for every one of them."""
    rows = len(values)
    joined = b" ".join((*values, b""))
    row = LENGTH + 1
    for column, byte in _COLUMNS:
        if joined[column::row] != byte * rows:
            return False
    # Where dashes and spaces are where they belong and there are no more of them, each value is as long as it should,
    # all that is left has to be digits, and an id of zeros is what stands between two dashes.
    return (
        joined.translate(None, b"0123456789abcdef") == b"--- " * rows
        and not joined[LENGTH - 1 :: row].strip(b"0123")
        and _NO_TRACE not in joined
        and _NO_SPAN not in joined
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
    # No Python runs for the single id. Three groups of hex digits to an id; without the dash between the first two they
    # are a trace id and a span id, and between one id and the next stand the flags of the one and the other's version.
    digits = bytearray(_randomness(24 * _BLOCK).hex("-", 8), "ascii") + b"-"
    del digits[16::51]
    ids = b"".join((b"00-", b"0300-".join(_halves(digits)), b"03"))
    if _NO_TRACE in ids or _NO_SPAN in ids:
        # an id of zeros is invalid (section 3.2.2.3): one in 2**64, but an injected randomness may give it
        return _refill_roots()
    _roots.extend(_identities(ids))
    return _roots.pop()


def _refill_spans() -> bytes:
    ids = b"-%b-" % _randomness(8 * _BLOCK).hex("-", 8).encode("ascii")
    if _NO_SPAN in ids:
        return _refill_spans()
    _spans.extend(ids[1:-1].split(b"-"))
    return _spans.pop()


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
