"""How many rounds there is time for, and how far the run is."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Progress"]


class Progress:
    """``rounds`` at most, of ``runs`` processes each; within ``seconds``, where they are given, but at least one."""

    def __init__(
        self, rounds: int, runs: int, seconds: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rounds = rounds
        self._runs = runs
        self._seconds = seconds
        self._clock = clock
        self._began = clock()
        self._done = 0

    def another_round(self) -> bool:
        """Whether there is time for one, if it takes as long as those before."""
        rounds_done = self._done // self._runs
        if not self._done:
            return True
        if rounds_done >= self._rounds:
            return False
        return self._seconds is None or self._elapsed * (rounds_done + 1) / rounds_done <= self._seconds

    def begin(self, what: str) -> str:
        """The line before a process: which one it is, the time so far, and about how much is left."""
        said = f"{self._done % self._runs + 1} of {self._runs} in round {self._done // self._runs + 1}"
        said += f", {_minutes(self._elapsed)}"
        if self._done:
            said += f" so far, about {_minutes(self._left())} left"
        self._done += 1
        return f"{said}: {what}"

    def left_out(self, runs: int) -> None:
        """So many processes of every round have no broker. Called within the first round."""
        self._runs -= runs

    @property
    def any_runs(self) -> bool:
        """Whether there is anything to do."""
        return self._runs > 0

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _left(self) -> float:
        rounds = self._elapsed / self._done * self._runs
        whole = self._rounds
        if self._seconds is not None:
            whole = min(whole, max(1, int(self._seconds // rounds)))
        return max(0.0, rounds * max(whole, self._done // self._runs + 1) - self._elapsed)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
