"""What a carrier is: four methods over native headers. A fifth would burden everybody who writes a carrier."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

__all__ = ["PREFIXED", "Carrier"]

#: How many headers of a prefix are read: as many as a baggage has members.
PREFIXED: Final = 180


@runtime_checkable
class Carrier(Protocol):
    """A view of native headers as text.

    No header may make these methods raise: a name that is not a str and a value that is not text are absent. A carrier
    of your own passes :class:`mqtrace.testing.CarrierContract`.
    """

    def get(self, name: str) -> str | None:
        """The text under the name; None if there is none."""
        ...

    def set(self, name: str, value: str) -> None:
        """Write the text under the name, in place of all its values."""
        ...

    def remove(self, name: str) -> None:
        """Remove all values of the name; nothing happens if there are none."""
        ...

    def names(self) -> list[str]:
        """The names, each once; also those whose value is not text."""
        ...
