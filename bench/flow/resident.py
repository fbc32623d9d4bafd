"""``python -m bench.flow.resident [--spans 5000000]``: memory and CPU of a ``mqtrace ui`` that is asked each second.

A file of messages grows as fast as the page reads it, 1,000 spans a second by the spans' own clocks: a made-up shop's
(tests/flow/shop.py) a hundred seconds, again and again with other trace ids and later times. The process is asked what
the page's first view asks, once a second. A line each twenty seconds, and at the end CPU (user and system) a span, the
resident size, and the most that it was. Five million spans take four to ten minutes and 2 GB of room.
"""

from __future__ import annotations

import argparse
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil  # type: ignore[import-untyped]  # it ships no types

from mqtrace.flow import Scope, SourceError
from mqtrace.flow.remote import RemoteSource
from tests.flow.encoded import payloads
from tests.flow.shop import Shop

_ROUND = 100_000
_ROUND_S = 100.0
_NS = 10**9
#: A trace id before a span id, as spans and links have them; a start and an end.
_IDS = re.compile(rb"\x0a\x10(.{4})(?=.{12}\x12\x08)", re.DOTALL)
_TIMES = re.compile(rb"\x39(.{8})\x41(.{8})", re.DOTALL)
_U64 = struct.Struct("<Q")


def messages(count: int, end_ns: int) -> Iterator[bytes]:
    """About ``count`` spans, a hundred a message; the last ones end at ``end_ns``."""
    shop = Shop(end_ns, length_s=_ROUND_S, quiet_s=0.0)
    base = list(payloads(shop.spans(_ROUND)))
    rounds = -(-count // _ROUND)
    for turn in range(rounds):
        prefix = b"\x0a\x10" + (turn + 1).to_bytes(4, "big")
        shift = round((turn + 1 - rounds) * _ROUND_S * _NS)

        def later(found: re.Match[bytes], shift: int = shift) -> bytes:
            start, end = (_U64.unpack(found[part])[0] + shift for part in (1, 2))
            return b"\x39" + _U64.pack(start) + b"\x41" + _U64.pack(end)

        for message in base:
            yield _TIMES.sub(later, _IDS.sub(prefix, message))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flow.resident")
    parser.add_argument("--spans", type=int, default=5_000_000)
    parser.add_argument("--minutes", type=float, default=15.0, help="end after so many, with what there is (15)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="mqtrace-bench-") as folder:
        file = Path(folder) / "spans.pb"
        file.touch()
        command = [sys.executable, "-m", "mqtrace.cli", "ui", f"file://{file}", "--port", "0"]
        command += ["--db", str(Path(folder) / "spans.duckdb"), "--keep", "7d"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as page:
            assert page.stdout is not None
            source = RemoteSource(page.stdout.readline().strip())
            writing = threading.Thread(target=_write, args=(file, options.spans), daemon=True)
            writing.start()
            try:
                _watch(psutil.Process(page.pid), source, writing, time.monotonic() + 60 * options.minutes)
            finally:
                page.send_signal(signal.SIGINT)
                page.wait(60)
    return 0


def _write(file: Path, count: int) -> None:
    with file.open("ab") as out:
        for message in messages(count, time.time_ns()):
            out.write(len(message).to_bytes(4, "big") + message)


def _watch(process: psutil.Process, source: RemoteSource, writing: threading.Thread, ends: float) -> None:
    """Ask each second until all is read."""
    began, said, most_mb = time.monotonic(), 0.0, 0.0
    while True:
        asked = time.monotonic()
        state = source.state()
        try:
            source.map(Scope.last(3600.0))
        except SourceError as error:
            print(f"not answered: {error}")
        memory, cpu = process.memory_info().rss / 1e6, sum(process.cpu_times()[:2])
        most_mb = max(most_mb, memory)
        over = (not writing.is_alive() and state["behind"] == 0) or asked > ends
        if over or asked - said > 20:
            said = asked
            each = 1e6 * cpu / max(1, state["spans"])
            print(
                f"{asked - began:4.0f} s: {state['spans']:>9,} spans, {memory:4.0f} MB resident, at most "
                f"{most_mb:.0f} MB, {each:.1f} us CPU a span",
                flush=True,
            )
        if over:
            return
        time.sleep(max(0.0, 1.0 - (time.monotonic() - asked)))


if __name__ == "__main__":
    sys.exit(main())
