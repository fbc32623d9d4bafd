"""What a reader is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Reader"]


class Reader(Protocol):
    """Reads payloads: the bytes of OTLP of one message or line each. One thread reads."""

    @property
    def shown(self) -> str:
        """What is read, without user and password."""
        ...

    @property
    def kind(self) -> str:
        """ "topic" or "file"."""
        ...

    @property
    def identity(self) -> str:
        """The identity of the source, the same for every address of it."""
        ...

    def start(self, read_to: Mapping[str, int]) -> None:
        """Begin where each place was read to; at the beginning of a place that ``read_to`` does not have."""
        ...

    def read(self, timeout: float) -> list[bytes | None]:
        """What has come, after at most ``timeout`` seconds. Raises SourceError if reading cannot go on."""
        ...

    def read_to(self) -> dict[str, int]:
        """Where to read on after what :meth:`read` returned, by place."""
        ...

    @property
    def behind(self) -> int | None:
        """How much is there and was not returned yet: messages of a topic, bytes of a file; None: unknown."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether everything that was there at the start has been returned."""
        ...

    @property
    def trouble(self) -> str | None:
        """What is wrong for now, in a sentence; reading may go on by itself."""
        ...

    def close(self) -> None:
        """Close the source."""
        ...
