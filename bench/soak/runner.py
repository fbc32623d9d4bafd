"""What the broker goes through, and what is ended beside it, in cycles of half a minute."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from .kafka import Kafka
from .terminated import BURST

__all__ = ["Ended", "Runner"]

ROOT: Final = Path(__file__).parent.parent.parent
_AWAY: Final = 3.0
_FROZEN: Final = 5.0
#: Seconds in which a process that was told to end has to; mqtrace's bound is below it.
_END_WITHIN: Final = 10.0


class Ended(NamedTuple):
    """A process that SIGTERM ended: when it lived, how it ended, how many spans had ended at least and at most."""

    who: str
    begun_at: float
    ended_at: float
    status: int | None
    least: int
    most: int


class Runner:
    """``run(until)`` goes through it. ``say`` takes what happens, a line each."""

    def __init__(self, kafka: Kafka, exporter: str, say: Callable[[str], None]) -> None:
        self._kafka = kafka
        self._exporter = exporter
        self._say = say
        #: When the broker was away, seconds since the epoch.
        self.outages: list[tuple[float, float]] = []
        self.ended: list[Ended] = []

    def run(self, until: float) -> None:
        """Go on until this time, in monotonic seconds; the broker is well at the end."""
        while True:
            self._terminate_one()
            for trouble in (self._killed, self._frozen):
                if time.monotonic() > until - 20:
                    time.sleep(max(0.0, until - time.monotonic()))
                    return
                time.sleep(3.0)
                trouble()
                time.sleep(4.0)

    def was_well(self, begun_at: float, ended_at: float) -> bool:
        """Whether the broker was well all the time, and a moment before and after."""
        return not any(begun_at - 2 < back and away < ended_at + 1 for away, back in self.outages)

    def _killed(self) -> None:
        away = time.time()
        self._kafka.kill()
        self._say("the broker is killed")
        time.sleep(_AWAY)
        self._kafka.start()
        self._back(away)

    def _frozen(self) -> None:
        away = time.time()
        self._kafka.freeze()
        self._say("the broker is frozen")
        time.sleep(_FROZEN)
        self._kafka.thaw()
        self._back(away)

    def _back(self, away: float) -> None:
        self.outages.append((away, time.time()))
        self._say(f"the broker is back after {time.time() - away:.1f} s")

    def _terminate_one(self) -> None:
        who = f"terminated {len(self.ended) + 1}"
        begun_at = time.time()
        command = [sys.executable, "-m", "bench.soak.terminated", self._exporter, who]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            time.sleep(3.0)
            process.send_signal(signal.SIGTERM)
            try:
                status: int | None = process.wait(_END_WITHIN)
            except subprocess.TimeoutExpired:
                status = None
                process.kill()
            said = process.stdout.read().split()
        least = int(said[-1]) if said else 0
        self.ended.append(Ended(who, begun_at, time.time(), status, least, least + BURST))
        self._say(f"{who}: {least} spans, ended with status {status}")
