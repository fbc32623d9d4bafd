"""The whole process: from produce to both spans on the topic, the export running beside.

CPU is everything the process used: librdkafka's threads and the export. Times are microseconds a message.
"""

from __future__ import annotations

import os
import time
from itertools import count as counter
from statistics import median
from typing import Final

from bench.steady import steady

from .client import configuration, ignore, send, subscribed
from .variants import Variant, make

__all__ = ["figures"]

_turns = counter()
_RUNS: Final = 3


def figures(name: str, bootstrap: str, count: int) -> dict[str, float]:
    """Wall and CPU of the whole process."""
    variant = make(name, bootstrap)
    # a few hundredths of a second each, in which four threads and a broker share two processors
    runs = [steady(lambda: _figures(variant, bootstrap, count)) for _ in range(_RUNS)]
    return {figure: median(run[figure] for run in runs) for figure in runs[0]} | {
        "lost": max(run["lost"] for run in runs)
    }


def _figures(variant: Variant, bootstrap: str, count: int) -> dict[str, float]:
    client = configuration(bootstrap)
    topic = f"whole-{os.getpid()}-{next(_turns)}"
    producer = variant.producer({**client, "queue.buffering.max.messages": 1_000_000})
    send(producer, f"warm-{topic}", count)  # the memory that so many messages take is taken once
    variant.flush()
    cpu, wall = time.process_time(), time.perf_counter()
    send(producer, topic, count)
    produced = time.perf_counter() - wall
    consumer = subscribed(variant, client, topic)
    handle = variant.handler(ignore)
    wall = 0.0
    seen = 0
    while seen < count:
        message = consumer.poll(1.0)
        if message is not None:
            wall = wall or time.perf_counter()
            handle(message)
            seen += 1
    consumed = time.perf_counter() - wall
    stats = variant.flush()
    cpu = time.process_time() - cpu
    consumer.close()
    return {
        "whole produce": produced / count * 1e6,
        "whole consume": consumed / count * 1e6,
        "everything": cpu / count * 1e6,
        "spans": stats.get("spans_exported", 0),
        "lost": sum(stats.get("spans_dropped", {}).values()),
    }
