"""Time: spans are measured on a monotonic clock and placed on the wall clock only when somebody reads them.

So a duration is right even if the system's time is set while the span runs, and the hot path reads one clock. The
export worker takes the offset between the two clocks again (:meth:`Clock.refresh`): a machine may sleep, and its time
may be corrected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Clock"]

# Below this the two clocks only jitter against each other, and a finished span keeps the times it had.
_STEP_NS: Final = 10_000_000


class Clock:
    """``now()`` returns monotonic nanoseconds, ``epoch(now())`` nanoseconds since 1970 (OTLP's time_unix_nano)."""

    __slots__ = ("_wall", "now", "offset")

    now: Callable[[], int]
    offset: int

    def __init__(
        self,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.now = monotonic_ns
        self._wall = time_ns
        self.offset = time_ns() - monotonic_ns()

    def refresh(self) -> None:
        """Take the offset again if the wall clock has been set since."""
        offset = self._wall() - self.now()
        if abs(offset - self.offset) > _STEP_NS:
            self.offset = offset

    def epoch(self, reading: int) -> int:
        """Nanoseconds since the epoch of a reading of ``now()``."""
        return reading + self.offset

    def reading(self, epoch: int) -> int:
        """The reading of ``now()`` at these nanoseconds since the epoch."""
        return epoch - self.offset
