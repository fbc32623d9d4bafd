"""What tracing adds to a message, measured where the demo runs: ``produce`` and its delivery report, bare and wrapped.

Bare and wrapped take turns in slices, so that both see the same machine; a slice ends with ``flush``, which serves the
reports. Only the calling thread's CPU time counts: that is what the application pays. The broker is of this process,
the spans are made and let go. The figure is the difference of the two medians.
"""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

from confluent_kafka import Producer

import mqtrace

from .broker import embedded
from .stage import say

__all__ = ["measure"]

_SLICE: Final = 1_000
_SLICES: Final = 15


def measure() -> dict[str, float]:
    """``bare``, ``wrapped`` and ``added`` in us a message; ``messages``: how many each way."""
    owner, bootstrap = embedded("cost")
    tracer = mqtrace.Tracer("cost", 1.0, exporter="none:")
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0}
    bare, wrapped = Producer(settings), tracer.wrap(Producer(settings))
    for producer in (bare, wrapped):
        _slice(producer)  # connections, templates and the first allocations
    without: list[float] = []
    with_tracing: list[float] = []
    for turn in range(_SLICES):
        pair = [(bare, without), (wrapped, with_tracing)]
        for producer, figures in pair if turn % 2 else reversed(pair):
            figures.append(_slice(producer))
    tracer.shutdown()
    del owner
    low, high = statistics.median(without), statistics.median(with_tracing)
    return {"bare": low, "wrapped": high, "added": max(0.0, high - low), "messages": _SLICE * _SLICES}


def _slice(producer: Any) -> float:
    """us a message, of this thread's CPU."""
    produce, value = producer.produce, b"x" * 100
    began = time.thread_time_ns()
    for _ in range(_SLICE):
        produce("cost", value)
    producer.flush()
    return (time.thread_time_ns() - began) / 1000 / _SLICE


if __name__ == "__main__":
    say(**measure())
