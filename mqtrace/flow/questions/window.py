"""A scope as parameters of a query, names as the scope's patterns choose them, and times as people read them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from mqtrace.flow.scope import Scope

__all__ = ["LOOK_BACK_NS", "bounds", "chosen", "now_ns", "rfc3339"]

_MOST_NS: Final = (1 << 63) - 1
#: A delivery may belong to a send before the window; so far back it is looked for. And deliveries of what was sent in
#: the window are taken as long after it.
LOOK_BACK_NS: Final = 600 * 10**9


def now_ns(scope: Scope) -> int:
    """The end of the window."""
    return time.time_ns() if scope.to_ns is None else scope.to_ns


def bounds(scope: Scope) -> dict[str, Any]:
    """``lo`` and ``hi``, and around them ``back`` and ``ahead``."""
    lo = max(0, scope.from_ns or 0)
    hi = min(_MOST_NS, _MOST_NS if scope.to_ns is None else max(0, scope.to_ns))
    return {
        "lo": min(lo, _MOST_NS),
        "hi": hi,
        "back": max(0, lo - LOOK_BACK_NS),
        "ahead": min(_MOST_NS, hi + LOOK_BACK_NS),
    }


def chosen(patterns: tuple[str, ...], names: Iterable[str | None]) -> bool:
    """Whether one of these names is meant."""
    return not patterns or any(fnmatchcase(name, pattern) for name in names if name is not None for pattern in patterns)


def rfc3339(ns: int) -> str:
    """UTC, with microseconds. What is beyond the year 9999 is its end."""
    moment = datetime.fromtimestamp(min(max(ns, 0) // 10**9, 253_402_300_799), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{max(ns, 0) // 1000 % 10**6:06d}Z"
