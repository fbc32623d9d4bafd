"""Text for a terminal: counts, durations, and names of spans, which may hold anything."""

from __future__ import annotations

__all__ = ["count", "duration", "printable"]


#: A name that is longer fills a screen and says nothing more.
_LONGEST = 300


def printable(text: str) -> str:
    """The text without characters that a terminal obeys or that break a line; only its beginning if it is long."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return text if text.isprintable() else "".join(one if one.isprintable() else "�" for one in text)


def duration(nanoseconds: int) -> str:
    """For people: three digits or so, and a unit."""
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1e3:.0f} us"
    if nanoseconds < 100_000_000:
        return f"{nanoseconds / 1e6:.1f} ms"
    if nanoseconds < 1_000_000_000:
        return f"{nanoseconds / 1e6:.0f} ms"
    if nanoseconds < 120_000_000_000:
        return f"{nanoseconds / 1e9:.1f} s"
    if nanoseconds < 7_200_000_000_000:
        return f"{nanoseconds / 60e9:.0f} min"
    return f"{nanoseconds / 3600e9:.0f} h"


def count(number: int, what: str) -> str:
    """``1 span``, ``2 spans``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
