"""Identities: ``traceparent`` values as 55 bytes, made in blocks and checked by shape.

W3C Trace Context level 2, section 3.2: ``00-{32 hex}-{16 hex}-{2 hex}``, lowercase. A block of 256 random ids costs
0.2 us an identity: one read of the system's randomness and one pass to hex. A single one costs 1.4 us. The flags of a
root already contain whether its threshold samples it. A child that was forked in C has its parent's block, so each id
is taken only after a look at :data:`~mqtrace.core.forks.unforked`.

The identities of messages are checked by their form, without a branch on any digit: 0.2 us each. A regular expression
branches on each digit, which no processor foresees: 0.4 us for an id that it has not seen. Those of a batch are checked
together, column by column.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from struct import Struct
from typing import Any, Final
from weakref import WeakValueDictionary

from .fork_safe_lock import ForkSafeLock
from .forks import after_fork, notice_fork, unforked

__all__ = [
    "LENGTH",
    "ChildEndings",
    "Roots",
    "are_canonical",
    "child_endings",
    "child_of",
    "fresh",
    "is_canonical",
    "is_valid",
    "new_span_id",
    "pop_child",
    "reset",
    "roots_for",
    "use_randomness",
]

LENGTH: Final = 55
_DIGITS: Final = b"0123456789abcdef"
# How many ids are made ahead: few by a process that makes few spans, twice as many each time, up to this.
_FIRST_BLOCK: Final = 8
_BLOCK: Final = 256

_randomness: Callable[[int], bytes] = os.urandom


# The form of an identity: x for a digit, dashes as they are, and 0 for any other byte.
_FORM: Final = bytes(0x78 if byte in _DIGITS else byte if byte == 0x2D else 0 for byte in range(256))
_IDENTITY: Final = b"xx-" + b"x" * 32 + b"-" + b"x" * 16 + b"-xx"
# Ids of zeros are invalid (sections 3.2.2.3 and 3.2.2.4). A value of this form that lies between these two has version
# 00 and a trace id that is not all zero.
_FIRST: Final = b"00-" + b"0" * 31 + b"1"
_LAST: Final = b"00-g"
_ZEROS: Final = b"0" * 16
_NO_DIGITS: Final = "0" * 16


def is_valid(value: bytes) -> bool:
    """Whether bytes are a version 00 ``traceparent``. The parser decides about higher versions."""
    return value.translate(_FORM) == _IDENTITY and _FIRST <= value < _LAST and value[36:52] != _ZEROS


def is_canonical(value: bytes) -> bool:
    """Whether bytes are an identity: valid, and with no flags but those that level 2 defines (section 3.2.2.5)."""
    return (
        value.translate(_FORM) == _IDENTITY
        and _FIRST <= value < _LAST
        and value[36:52] != _ZEROS
        and value[53] == 0x30
        and value[54] <= 0x33
    )


_NO_TRACE: Final = b"-%b-" % (b"0" * 32)
_NO_SPAN: Final = b"-%b-" % (b"0" * 16)

# Thresholds: up to the lowest every root is sampled, and above the highest none.
_LOWEST: Final = b"0" * 14
_HIGHEST: Final = b"f" * 14


@cache
def _unpack(item: str, count: int) -> Callable[[bytes | bytearray], tuple[Any, ...]]:
    return Struct(item * count).unpack


# The bytes of a traceparent that are no digits of an id: where, and which.
_COLUMNS: Final = ((0, b"0"), (1, b"0"), (2, b"-"), (35, b"-"), (52, b"-"), (53, b"0"), (LENGTH, b" "))


def are_canonical(values: Sequence[bytes]) -> bool:
    """Whether :func:`is_canonical` is true of every value."""
    rows = len(values)
    joined = b" ".join((*values, b""))
    row = LENGTH + 1
    for column, byte in _COLUMNS:
        if joined[column::row] != byte * rows:
            return False
    # If dashes and spaces are where they belong and there are no more of them, each value has the right length, the
    # rest has to be digits, and an id of zeros stands between two dashes.
    return (
        joined.translate(None, _DIGITS) == b"--- " * rows
        and not joined[LENGTH - 1 :: row].strip(b"0123")
        and _NO_TRACE not in joined
        and _NO_SPAN not in joined
    )


class Roots(list[bytes]):
    """Identities of new root spans, made ahead: random, with flags 03 if ``threshold`` samples them, else 02.

    The last 14 characters of a sampled trace id are not below the threshold. Made by :func:`roots_for`.
    """

    __slots__ = ("__weakref__", "_count", "threshold")

    def __init__(self, threshold: bytes) -> None:
        super().__init__()
        self.threshold: Final = threshold
        self._count = _FIRST_BLOCK

    def take(self) -> bytes:
        """Return one."""
        try:
            return self.pop() if unforked[0] else self.refill()
        except IndexError:
            return self.refill()

    def refill(self) -> bytes:
        """Make a block, and return one of it."""
        notice_fork()
        threshold = self.threshold
        if not unforked[0]:
            identity = _one()
            return identity if identity[21:35] >= threshold else identity[:53] + b"02"
        block: Sequence[bytes] = _block(b"02" if threshold > _HIGHEST else b"03", self._count)
        self._count = min(_BLOCK, self._count * 2)
        if _LOWEST < threshold <= _HIGHEST:
            block = [each if each[21:35] >= threshold else each[:53] + b"02" for each in block]
        self.extend(block)
        return self.take()


#: By threshold, as long as a template uses it.
_roots: WeakValueDictionary[bytes, Roots] = WeakValueDictionary()
_sharing: Final = ForkSafeLock()


def roots_for(threshold: bytes) -> Roots:
    """The roots of one threshold, shared. ``threshold``: see :class:`~mqtrace.core.template.Decider`."""
    with _sharing.lock:
        return _roots.setdefault(threshold, Roots(threshold))


def fresh() -> bytes:
    """The identity of a new root span: random, sampled (flags 03)."""
    return _always.take()


class ChildEndings(list[bytes]):
    """The ends of new child spans' identities, made ahead: a random span id, and the flags of the trace."""

    __slots__ = ("_count", "_tail")

    def __init__(self, flags: bytes) -> None:
        super().__init__()
        self._tail: Final = b"-" + flags
        self._count = _FIRST_BLOCK

    def take(self) -> bytes:
        """Return one."""
        try:
            return self.pop() if unforked[0] else self.refill()
        except IndexError:
            return self.refill()

    def refill(self) -> bytes:
        """Make a block, and return one of it."""
        notice_fork()
        if not unforked[0]:
            while (digits := _randomness(8).hex()) == _NO_DIGITS:
                pass
            return digits.encode("ascii") + self._tail
        count = self._count
        self._count = min(_BLOCK, count * 2)
        ids = b"-%b-" % _randomness(8 * count).hex("-", 8).encode("ascii")
        while _NO_SPAN in ids:  # section 3.2.2.4
            ids = b"-%b-" % _randomness(8 * count).hex("-", 8).encode("ascii")
        self.extend((ids[1:-1].replace(b"-", self._tail + b" ") + self._tail).split(b" "))
        return self.take()


#: By the last character of a trace's flags, which is 0 to 3 in every identity.
child_endings: Final = {ord(b"%d" % flags): ChildEndings(b"0%d" % flags) for flags in range(4)}
#: For the hot path: ``pop`` of each. IndexError if it is empty; :func:`child_of` makes more then.
pop_child: Final[Mapping[int, Callable[[], bytes]]] = {flags: each.pop for flags, each in child_endings.items()}


def new_span_id() -> bytes:
    """16 lowercase hex characters, random, not all zero."""
    return child_endings[0x31].take()[:16]


def child_of(parent: bytes) -> bytes:
    """The identity of a new child span: of the parent's trace, with its flags."""
    try:
        endings = child_endings[parent[54]]
    except KeyError:  # flags that level 2 does not define, in a context that was made by hand
        endings = child_endings[0x30 | parent[54] & 3]
    try:
        return parent[:36] + (endings.pop() if unforked[0] else endings.refill())
    except IndexError:
        return parent[:36] + endings.refill()


def _one() -> bytes:
    """A single identity, with flags 03: for systems on which none can be made ahead."""
    digits = _randomness(24).hex()
    if digits[:32] == _NO_DIGITS * 2 or digits[32:] == _NO_DIGITS:
        return _one()
    return f"00-{digits[:32]}-{digits[32:]}-03".encode("ascii")


def _block(flags: bytes, count: int) -> tuple[bytes, ...]:
    # No Python runs for each id. An id is three groups of hex digits: without the dash between the first two they are a
    # trace id and a span id. Between an id and the next one stand the flags of the first and the version of the second.
    digits = bytearray(_randomness(24 * count).hex("-", 8), "ascii") + b"-"
    del digits[16::51]
    ids = b"".join((b"00-", (flags + b"00-").join(_unpack("50s", count)(digits)), flags))
    if _NO_TRACE in ids or _NO_SPAN in ids:
        # an id of zeros is invalid (section 3.2.2.3): one in 2**64, but a test's randomness may return it
        return _block(flags, count)
    return _unpack("55s", count)(ids)


def reset() -> None:
    """Forget the ids made ahead: in a forked child they are the parent's."""
    for roots in list(_roots.values()):
        roots.clear()
    for each in child_endings.values():
        each.clear()


def use_randomness(source: Callable[[int], bytes] = os.urandom) -> None:
    """Take random bytes from ``source(count)``: for tests. Without an argument, from the system again."""
    global _randomness
    _randomness = source
    reset()


_always: Final = roots_for(_LOWEST)

after_fork(reset)
