"""A clock that stands still until a test moves it."""

from __future__ import annotations

from mqtrace.core import Clock

__all__ = ["FakeClock"]


class FakeClock(Clock):
    """``advance(seconds)`` moves both of its clocks, ``set_wall(ns)`` the wall clock alone.

    Passed to :func:`record` (``clock=``) it times spans; called, it returns monotonic seconds, as the samplers of
    mqtrace.sampling take it (``clock=``).
    """

    __slots__ = ("_monotonic", "_wall_time")

    def __init__(self, epoch: int = 1_700_000_000_000_000_000) -> None:
        self._monotonic = 1_000_000_000
        self._wall_time = epoch
        super().__init__(lambda: self._monotonic, lambda: self._wall_time)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._monotonic += round(seconds * 1e9)
        self._wall_time += round(seconds * 1e9)

    def set_wall(self, epoch: int) -> None:
        """Set the wall clock, in ns since 1970, as an administrator would."""
        self._wall_time = epoch

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self._monotonic / 1e9
