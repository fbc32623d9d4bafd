"""Tables with a bound, for keys that an application may make up without end: names of topics, for example."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["keep_recent"]

K = TypeVar("K")
V = TypeVar("V")


def keep_recent(table: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep ``value``; of more than ``most`` entries the oldest is removed.

    A look-up stays as cheap as a dict's. An entry that is removed while it is in use is made again, as the newest: once
    in ``most`` new ones. Thread-safe.
    """
    table[key] = value
    while len(table) > most:
        try:
            table.pop(next(iter(table)), None)
        except (StopIteration, RuntimeError):  # another thread removes the same one
            return
