"""What a reader is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Reader"]


class Reader(Protocol):
    """Reads payloads: bytes of OTLP, each as one message or line held it. One thread reads."""

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
        """What tells it from other sources, also when it is addressed in another way."""
        ...

    def start(self, read_to: Mapping[str, int]) -> None:
        """Begin where it was read to, by place; where it does not say a place, at the beginning."""
        ...

    def read(self, timeout: float) -> list[bytes | None]:
        """What has come, after at most ``timeout`` seconds. Raises SourceError where reading cannot go on."""
        ...

    def read_to(self) -> dict[str, int]:
        """Where to read on after what :meth:`read` returned, by place."""
        ...

    @property
    def behind(self) -> int | None:
        """What is there and was not returned yet: messages of a topic, bytes of a file; None: unknown."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether all that was there when it was started has been returned."""
        ...

    @property
    def trouble(self) -> str | None:
        """What is wrong for now, in a sentence; reading may go on by itself."""
        ...

    def close(self) -> None:
        """Let go."""
        ...
