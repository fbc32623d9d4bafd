"""Tables that do not grow: what is kept of something that a user may make up without end, names for one."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["keep_recent"]

K = TypeVar("K")
V = TypeVar("V")


def keep_recent(table: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep ``value``, and no more than ``most``: what was kept first goes first.

    Whoever looks something up pays nothing for that. What is in use and goes is made once more, and is the most recent
    then: once in ``most`` new ones. Threads may do this at the same time.
    """
    table[key] = value
    while len(table) > most:
        try:
            table.pop(next(iter(table)), None)
        except (StopIteration, RuntimeError):  # another thread lets go of the same
            return
