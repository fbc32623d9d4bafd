"""Identities: ``traceparent`` values as 55 bytes, made in blocks and checked by shape.

W3C Trace Context level 2, section 3.2: ``00-{32 hex}-{16 hex}-{2 hex}``, lowercase. Making 256 random ids with one
read of the system's randomness and one pass to hex costs 0.2 us an identity; one by one it is more than twice that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain
from typing import Final

__all__ = ["LENGTH", "fresh", "is_canonical", "is_valid", "new_span_id", "reset", "use_randomness"]

LENGTH: Final = 55
_BLOCK: Final = 256

_randomness: Callable[[int], bytes] = os.urandom
_roots: list[bytes] = []
_spans: list[bytes] = []

# Every lowercase hex digit becomes "0", so that one comparison checks length, dashes and alphabet at once.
_TO_SHAPE: Final = bytes.maketrans(b"0123456789abcdef", b"0" * 16)
_SHAPE: Final = b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00"
_FLAGS: Final = frozenset((b"00", b"01", b"02", b"03"))
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_ROOTS: Final = " ".join(["00-%s-%s-03"] * _BLOCK)


def is_valid(value: bytes) -> bool:
    """Whether this is a version 00 ``traceparent``. What else may be one, a higher version's, the parser decides."""
    return (
        value.translate(_TO_SHAPE) == _SHAPE
        and value[:2] == b"00"
        and value[3:35] != b"00000000000000000000000000000000"
        and value[36:52] != b"0000000000000000"
    )


def is_canonical(value: bytes) -> bool:
    """Whether this is an identity: valid, and with no flags but those that level 2 defines (section 3.2.2.5)."""
    return is_valid(value) and value[53:] in _FLAGS


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
    # No Python runs for the single id: hex() cuts the random bytes into ids, one format joins them, split() parts them.
    traces = _randomness(16 * _BLOCK).hex("-", 16).split("-")
    spans = _randomness(8 * _BLOCK).hex("-", 8).split("-")
    if _NO_TRACE in traces or _NO_SPAN in spans:
        # an id of zeros is invalid (section 3.2.2.3): one in 2**64, but an injected randomness may give it
        return _refill_roots()
    _roots.extend((_ROOTS % tuple(chain.from_iterable(zip(traces, spans, strict=True)))).encode("ascii").split(b" "))
    return _roots.pop()


def _refill_spans() -> bytes:
    spans = _randomness(8 * _BLOCK).hex("-", 8)
    if _NO_SPAN in spans.split("-"):
        return _refill_spans()
    _spans.extend(spans.encode("ascii").split(b"-"))
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
