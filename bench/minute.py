"""A minute of 5,000 spans a second through an exporter: are any dropped, does the memory grow?

``python -m bench.minute`` exports over HTTP to a receiver of its own; ``python -m bench.minute kafka://host:9092/topic``
to that URL. It prints a line of JSON and fails (exit status 1) on a span that is dropped, or where resident memory
grows by more than 8 MB between the first quarter and the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # it ships no types

import mqtrace
from bench.http.receiver import receiving

__all__ = ["main", "run"]

_TICK_S: Final = 0.01
_MOST_GROWTH: Final = 8 << 20


def run(url: str, rate: int, seconds: float) -> dict[str, Any]:
    """Send and process spans at ``rate`` a second; counts, CPU and memory."""
    process = psutil.Process()
    tracer = mqtrace.Tracer("minute", exporter=url)
    ended, began, quarter = 0, time.monotonic(), 0
    cpu = time.process_time()
    while (elapsed := time.monotonic() - began) < seconds:
        for _ in range(int(elapsed * rate) - ended):
            tracer.start_span("work", kind="consumer", attributes={"order": ended, "shop": "north"}).end()
            ended += 1
        if not quarter and elapsed > seconds / 4:
            quarter = process.memory_info().rss
        time.sleep(_TICK_S)
    flushed = tracer.flush(30)
    memory = process.memory_info().rss
    cpu = time.process_time() - cpu
    stats = tracer.stats()
    tracer.shutdown(5)
    return {
        "spans_ended": ended,
        "spans_exported": stats["spans_exported"],
        "spans_dropped": sum(stats["spans_dropped"].values()),
        "flushed": flushed,
        "cpu_us_a_span": round(cpu / max(1, ended) * 1e6, 2),
        "rss_quarter": quarter,
        "rss_end": memory,
        "rss_growth": memory - quarter,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.minute", description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="an exporter's URL; a receiver of its own over HTTP if left out")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=5_000)
    options = parser.parse_args(arguments)
    received: dict[str, int] = {}
    with ExitStack() as stack:
        url = options.url
        if url is None:
            url, received = stack.enter_context(receiving("--count"))
        found = run(url, options.rate, options.seconds)
    if options.url is None:
        found["spans_received"] = received["spans"]
    print(json.dumps(found))
    arrived = {found["spans_exported"], found.get("spans_received", found["spans_ended"])}
    good = arrived == {found["spans_ended"]} and found["flushed"] and found["rss_growth"] <= _MOST_GROWTH
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
