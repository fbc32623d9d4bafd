"""``python -m bench.flow [--spans 400000]``: what reading a span costs while the page asks, and what a question costs.

Spans of a made-up shop (tests/flow/shop.py) as OTLP, a hundred a message, read from memory into a DuckDB file as
``mqtrace ui`` does it; a thread asks every second what the page's first view asks. CPU time of the whole process.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mqtrace.flow import Scope
from mqtrace.flow.store.filled import FilledSource
from mqtrace.otlp.columns_read import ColumnReader
from tests.flow.encoded import payloads as encoded
from tests.flow.shop import Shop


class Memory:
    """A reader of what is given it."""

    kind = "topic"
    shown = identity = "memory"
    trouble: str | None = None

    def __init__(self, payloads: list[bytes]) -> None:
        self._payloads = payloads
        self._at = 0

    def start(self, read_to: Mapping[str, int]) -> None:
        """At the beginning."""

    def read(self, timeout: float) -> list[bytes | None]:
        """Twenty messages."""
        found: list[bytes | None] = list(self._payloads[self._at : self._at + 20])
        self._at += len(found)
        return found

    def read_to(self) -> dict[str, int]:
        """One place."""
        return {"here": self._at}

    @property
    def behind(self) -> int:
        """Messages."""
        return len(self._payloads) - self._at

    @property
    def at_end(self) -> bool:
        """Whether all was read."""
        return self.behind == 0

    def close(self) -> None:
        """Nothing is held."""


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu_ms(ask: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        ask()
        least = min(least, time.process_time() - began)
    return 1e3 * least


def main() -> None:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.flow")
    parser.add_argument("--spans", type=int, default=400_000)
    options = parser.parse_args()
    now_ns = time.time_ns()
    payloads = list(encoded(Shop(now_ns).spans(options.spans)))
    reader, began = ColumnReader(), time.process_time()
    for payload in payloads:
        reader.read(payload)
    print(f"decoding into columns: {1e6 * (time.process_time() - began) / reader.spans:.1f} us a span")
    before_mb = _resident_mb()
    whole, hour = Scope(to_ns=now_ns), Scope.last(3600.0, now_ns=now_ns)
    with TemporaryDirectory() as folder:
        for asked in (False, True):
            source = FilledSource(Memory(payloads), Path(folder) / f"spans-{asked}.duckdb", window_s=3600.0)
            over = threading.Event()

            def page(source: FilledSource = source, over: threading.Event = over) -> None:
                while not over.wait(1.0):
                    source.state()
                    source.map(hour)

            watcher = threading.Thread(target=page)
            if asked:
                watcher.start()
            began, wall = time.process_time(), time.monotonic()
            source.fill()
            each = 1e6 * (time.process_time() - began) / reader.spans
            over.set()
            if asked:
                watcher.join()
            told = "with the page asking every second" if asked else "and nobody asks"
            print(f"reading, {told}: {each:.1f} us CPU a span, {time.monotonic() - wall:.1f} s")
            if not asked:
                source.close()
        print(f"resident: {_resident_mb() - before_mb:.0f} MB more than before")
        spans = source.state()["spans"]
        for name, scope in (("all of them", whole), ("the last hour", hour)):
            for question, ask in (
                ("map", lambda scope=scope: source.map(scope)),
                ("flow", lambda scope=scope: source.flow(scope)),
                ("missing", lambda scope=scope: source.missing(scope)),
                ("traces, newest", lambda scope=scope: source.traces(scope)),
                ("traces, slowest", lambda scope=scope: source.traces(scope, order="slowest")),
            ):
                print(f"{question} of {spans:,} spans, {name}: {_cpu_ms(ask):.0f} ms CPU")
        path = Path(folder) / "spans-True.duckdb"
        source.engine.rows("CHECKPOINT", {})
        print(f"on disk: {path.stat().st_size / spans:.0f} bytes a span")
        source.close()


if __name__ == "__main__":
    main()
