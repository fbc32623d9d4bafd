"""What a carrier is: four methods over native headers. A fifth would be a burden for everybody who writes one."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

__all__ = ["PREFIXED", "Carrier"]

#: How many headers of a prefix are read: as many as a baggage has members.
PREFIXED: Final = 180


@runtime_checkable
class Carrier(Protocol):
    """A view of native headers as text.

    Nothing that the headers hold may make these methods raise: a name that is no str and a value that is no text
    are absent. A carrier of one's own passes :class:`mqtrace.testing.CarrierContract`.
    """

    def get(self, name: str) -> str | None:
        """The text under the name; None where there is none."""
        ...

    def set(self, name: str, value: str) -> None:
        """Write the text under the name, in place of everything that stands there."""
        ...

    def remove(self, name: str) -> None:
        """Take everything under the name away; nothing happens where there is nothing."""
        ...

    def names(self) -> list[str]:
        """The names, each once; also those whose value is no text."""
        ...
