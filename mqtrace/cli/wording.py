"""Text for a terminal: counts, durations, and what somebody else wrote."""

from __future__ import annotations

__all__ = ["count", "duration", "printable"]


def printable(text: str) -> str:
    """Text without what a terminal would obey or what would break a line."""
    return "".join(character if character.isprintable() else "�" for character in text)


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
