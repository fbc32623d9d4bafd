"""Spans in a list: ``memory:``, for tests and for looking at what would leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from mqtrace.core import Span

__all__ = ["MemoryExporter"]


class MemoryExporter:
    """Keeps the spans it is given in ``spans``; the oldest go where there are more than ``most``."""

    def __init__(self, most: int | None = None) -> None:
        self.spans: deque[Span] = deque(maxlen=most)

    def export(self, spans: Sequence[Span]) -> None:
        """Keep them."""
        self.spans.extend(spans)

    def shutdown(self, timeout: float) -> None:
        """The spans stay."""
