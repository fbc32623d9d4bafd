"""Which spans a question is about."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Scope", "literal"]

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """A window of time, and patterns of names.

    ``from_ns`` and ``to_ns``: ns since the epoch; None: from the first span, and until now. ``to_ns`` is the "now" of
    `missing`. A send is in the window if it began there; a delivery if its send did, as far as that is known.

    ``services`` and ``destinations``: patterns as ``mqtrace tail`` takes: ``*`` and ``?`` match, ``[...]`` is one
    of these characters; any of them suffices, none means all. :func:`literal` makes a pattern that matches one name.
    """

    from_ns: int | None = None
    to_ns: int | None = None
    services: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()

    @classmethod
    def last(
        cls,
        seconds: float,
        services: tuple[str, ...] = (),
        destinations: tuple[str, ...] = (),
        now_ns: int | None = None,
    ) -> Scope:
        """The last ``seconds`` until ``now_ns``, else until now."""
        now = time.time_ns() if now_ns is None else now_ns
        return cls(now - round(seconds * _NS), None if now_ns is None else now_ns, services, destinations)


def literal(name: str) -> str:
    """A pattern that matches this name and no other."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
