"""OpenTelemetry's member of tracestate, which consistent probability sampling writes and reads.

OpenTelemetry, "TraceState: Probability Sampling" and "TraceState Handling": ``ot=`` holds ``key:value`` pairs separated
by semicolons. ``th`` is the rejection threshold that the trace was recorded with, 1 to 14 lowercase hex digits without
trailing zeros; ``rv`` is 14 lowercase hex digits that take the place of the trace id's randomness. Unknown pairs are
passed on.
"""

from __future__ import annotations

import re
from typing import Final

from mqtrace.propagation.tracestate import get_member, remove_member, set_member

__all__ = ["randomness", "threshold", "with_threshold"]

_KEY: Final = "ot"
_is_randomness: Final = re.compile("[0-9a-f]{14}").fullmatch


def _pairs(state: str | None) -> list[str]:
    member = get_member(state, _KEY)
    return member.split(";") if member else []


def _value(state: str | None, key: str) -> str | None:
    return next((pair[len(key) + 1 :] for pair in _pairs(state) if pair.startswith(f"{key}:")), None)


def threshold(state: str | None) -> str | None:
    """The digits of ``th``; None if there are none."""
    return _value(state, "th")


def randomness(identity: bytes, state: str | None) -> bytes:
    """The 14 hex digits that a threshold is compared with: ``rv``, or else the last 56 bits of the trace id."""
    explicit = _value(state, "rv") if state else None
    return explicit.encode("ascii") if explicit and _is_randomness(explicit) else identity[21:35]


def with_threshold(state: str | None, digits: str | None) -> str | None:
    """A canonical tracestate with ``digits`` as its ``th``; without a ``th`` if that is None."""
    before = _pairs(state)
    pairs = [pair for pair in before if not pair.startswith("th:")]
    if digits is not None:
        pairs.insert(0, f"th:{digits}")
    if pairs == before:
        return state
    if not pairs:
        return remove_member(state, _KEY)
    try:
        return set_member(state, _KEY, ";".join(pairs))
    except ValueError:  # the member would be too long: it is removed, so that it states no wrong threshold
        return remove_member(state, _KEY)
