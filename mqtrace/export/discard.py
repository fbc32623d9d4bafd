"""An exporter that sends nothing: ``none:``."""

from __future__ import annotations

from collections.abc import Sequence

from mqtrace.core import Span

__all__ = ["DiscardExporter"]


class DiscardExporter:
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[Span]) -> None:
        """Forget them."""

    def shutdown(self, timeout: float) -> None:
        """There is nothing to release."""
