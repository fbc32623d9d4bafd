"""Spans kept in a list: ``memory:``, for tests and for seeing what would leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from mqtrace.core import Span

__all__ = ["MemoryExporter"]


class MemoryExporter:
    """Keeps the spans that it is given; the oldest are dropped when there are more than ``most``."""

    def __init__(self, most: int | None = None) -> None:
        self._spans: deque[Span] = deque(maxlen=most)

    @property
    def spans(self) -> list[Span]:
        """The spans so far, in the order in which they were exported."""
        return list(self._spans)

    def clear(self) -> None:
        """Forget them."""
        self._spans.clear()

    def export(self, spans: Sequence[Span]) -> None:
        """Keep them."""
        self._spans.extend(spans)

    def shutdown(self, timeout: float) -> None:
        """The spans stay."""
