"""Locks that may be met anywhere: by a signal handler, by the garbage collector, and by a fork.

A signal handler or a ``__del__`` that makes a span runs between any two lines, also in the thread that holds the lock:
so it is reentrant. A thread that holds it while another one forks does not exist in the child: so the child's is new.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakSet

from mqtrace.native import RLock

from .forks import after_fork

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """``with something.lock:`` one thread at a time; ``something`` is one of these."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = RLock()
        _locks.add(self)


_locks: Final[WeakSet[ForkSafeLock]] = WeakSet()


def _renew() -> None:
    for one in list(_locks):
        one.lock = RLock()


after_fork(_renew)
