"""Locks that signal handlers, the garbage collector and forks may meet.

A signal handler or a ``__del__`` that makes a span runs between any two lines, also in the thread that holds the lock,
so the lock is reentrant. A thread that holds it while another one forks does not exist in the child, so the child has a
new lock.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakSet

from mqtrace.native import RLock

from .forks import after_fork

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """``with guard.lock:`` one thread at a time. Read ``lock`` each time: a forked child has another."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = RLock()
        _locks.add(self)


_locks: Final[WeakSet[ForkSafeLock]] = WeakSet()


def _renew() -> None:
    for each in list(_locks):
        each.lock = RLock()


after_fork(_renew)
