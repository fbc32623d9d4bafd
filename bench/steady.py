"""Figures that were taken while the processor was as fast as it gets.

One that has slept is slower by half or more for up to some seconds, and so is one whose neighbours on a shared machine
are at work: a variant that is measured then looks dear, and one that is measured a moment later does not. A fixed piece
of work tells: before a figure it is done until it takes what it is known to take, and a figure during which the
processor became slow is taken again. Where a measurement has to wait, it works instead of sleeping.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["FASTEST", "awake", "probe", "steady", "wait"]

#: The environment variable in which a process is told what the work takes at best: microseconds of CPU.
FASTEST: Final = "MQTRACE_BENCH_FASTEST"
# What it takes differs by 7 % while nothing disturbs it, and by 70 % otherwise.
_SLOWER: Final = 1.2
_ATTEMPTS: Final = 3
_PATIENCE: Final = 4.0
# Seconds that a process waits in all: one that is slow for good is measured as it is.
_left = 30.0

T = TypeVar("T")


def probe() -> float:
    """CPU of the fixed work, us: the best of three."""
    return min(_work() for _ in range(3))


def _work() -> float:
    began = time.thread_time()
    made: dict[int, tuple[int, int]] = {}
    total = 0
    for number in range(5_000):
        made[number % 997] = (number, total)
        total += number * number % 7
    return (time.thread_time() - began) * 1e6


def awake(seconds: float) -> None:
    """Wait without sleeping."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _work()


def wait(patience: float = _PATIENCE) -> None:
    """Work until the processor is fast, but no longer than this many seconds."""
    global _left
    began = time.monotonic()
    end = began + min(patience, _left)
    while probe() > _slow() and time.monotonic() < end:
        pass
    _left -= time.monotonic() - began


def steady(measure: Callable[[], T]) -> T:
    """What ``measure`` gives, from an attempt before and after which the processor was fast, or the best of a few."""
    best: tuple[float, T] | None = None
    for _ in range(_ATTEMPTS):
        wait()
        before = probe()
        found = measure()
        slowest = max(before, probe())
        if best is None or slowest < best[0]:
            best = (slowest, found)
        if slowest <= _slow():
            break
    assert best is not None, "there are several attempts"
    return best[1]


def _slow() -> float:
    return float(os.environ.get(FASTEST, "inf")) * _SLOWER
