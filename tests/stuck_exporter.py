"""An exporter that takes spans and returns only when a test lets it, and the bound that then holds for the queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import mqtrace

__all__ = ["BOUND", "StuckExporter", "check_bound"]

#: MQTRACE_MAX_QUEUE_BYTES of a test.
BOUND = 1 << 20


class StuckExporter:
    """An exporter that returns when the test is over; then it has the spans."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.spans: list[mqtrace.Span] = []

    def export(self, spans: Sequence[mqtrace.Span]) -> None:
        """Wait for ``released``, and keep them."""
        self.released.wait(30)
        self.spans.extend(spans)

    def shutdown(self, timeout: float) -> None:
        """There is nothing to release."""


def check_bound(tracer: mqtrace.Tracer, act: Callable[[mqtrace.Tracer, int], object], weight: int) -> None:
    """End more spans of ``weight`` bytes than BOUND holds, and see that about as many are kept as it holds."""
    count = BOUND // weight + 20
    for number in range(count):
        act(tracer, number)
    stats = tracer.stats()
    assert stats["spans_ended"] == count
    kept = stats["spans_queued"] + stats["spans_in_flight"]
    assert kept * weight <= BOUND
    assert kept >= BOUND // weight // 3  # and not much less than there is room for
    assert stats["spans_dropped"]["queue_full"] == count - kept
