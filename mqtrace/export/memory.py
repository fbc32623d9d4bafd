"""Spans in a list: ``memory:``, for tests and for looking at what would leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from mqtrace.core import Span

__all__ = ["MemoryExporter"]


class MemoryExporter:
    """Keeps the spans it is given; the oldest go where there are more than ``most``."""

    def __init__(self, most: int | None = None) -> None:
        self._kept: deque[Span] = deque(maxlen=most)

    @property
    def spans(self) -> list[Span]:
        """The spans so far, in the order in which they were exported."""
        return list(self._kept)

    def clear(self) -> None:
        """Forget them."""
        self._kept.clear()

    def export(self, spans: Sequence[Span]) -> None:
        """Keep them."""
        self._kept.extend(spans)

    def shutdown(self, timeout: float) -> None:
        """The spans stay."""
