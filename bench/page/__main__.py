"""``python -m bench.page``: how soon the map of 50 services and a trace of 1,000 spans are drawn.

The spans are in a DuckDB file, as ``mqtrace ui`` keeps them; server, browser and database share this machine. Each
figure is of a browser that has nothing cached: ms from the begin of the navigation until the view was painted. Beside
it stands the CPU time of the browser's processes until then, and of the server for the answer, the least of all
rounds: that does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]  # it ships no types
import uvicorn
from playwright.sync_api import Browser, sync_playwright

from mqtrace.flow.page import application
from mqtrace.flow.store.database import Database
from mqtrace.flow.store.file_source import DatabaseSource
from mqtrace.flow.store.ingest import Ingest
from mqtrace.otlp.columns import Columns
from mqtrace.otlp.columns_record import add

from .town import Town

#: Resolves with the ms since the begin of the navigation at which what ``selector`` finds has been painted.
_PAINTED = """(selector) => new Promise((done) => {
  const look = () => document.querySelector(selector)
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : setTimeout(look, 1);
  look();
})"""
_ROWS = 20_000


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mqtrace-bench-") as folder:
        path = Path(folder) / "spans.duckdb"
        long_trace = fill(path, options.services, options.spans)
        source = DatabaseSource(path)
        server = _serve(application(source))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            _row("ms", "median", "least", "most", "CPU browser", "CPU server")
            for what, address, selector, questions in (
                (
                    f"map of {options.services} services, {options.spans:,} spans, 6 h",
                    f"{server}/?last=6h",
                    ".map .node",
                    ("map?last=6h",),
                ),
                ("trace of 1,000 spans", f"{server}/trace/{long_trace}", ".row", (f"trace?id={long_trace}",)),
            ):
                measured = [_painted(browser, address, selector) for _ in range(options.rounds)]
                times, drawing = zip(*measured, strict=True)
                asked = [_asked(server, questions) for _ in range(options.rounds)]
                figures = (median(times), min(times), max(times), min(drawing), min(asked))
                _row(what, *(f"{figure:.0f}" for figure in figures))
            browser.close()
        source.close()
    return 0


def fill(path: Path, services: int, count: int) -> str:
    """A database of a town's spans, and of one trace of a thousand; its id."""
    database = Database(path)
    ingest = Ingest(database)
    columns = Columns()
    now = time.time_ns()
    town = Town(services, now)
    for number, span in enumerate(town.spans(count), 1):
        add(span, columns)
        if number % _ROWS == 0:
            ingest.add(columns)
            ingest.commit({})
            columns = Columns()
    trace_id = ""
    for span in town.long_trace(1_000, now - 60 * 10**9):
        trace_id = span.trace_id
        add(span, columns)
    ingest.add(columns)
    ingest.commit({})
    database.close()
    return trace_id


def _serve(app: object) -> str:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))  # type: ignore[arg-type]  # an ASGI application
    threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _painted(browser: Browser, address: str, selector: str) -> tuple[float, float]:
    """(by the clock, CPU of the browser's processes), ms."""
    time.sleep(1.1)  # an answer is told again for a second
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    before = _browser_cpu()
    page.goto(address, wait_until="commit")
    found = page.evaluate(_PAINTED, selector)
    spent = _browser_cpu() - before
    context.close()
    return float(found), 1_000 * spent


def _browser_cpu() -> float:
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name():
                spent += sum(process.cpu_times()[:2])
    return spent


def _asked(server: str, questions: Sequence[str]) -> float:
    time.sleep(1.1)
    began = time.process_time()
    for question in questions:
        with urllib.request.urlopen(f"{server}/api/{question}", timeout=30) as told:
            told.read()
    return 1_000 * (time.process_time() - began)


def _row(*cells: str) -> None:
    print(f"{cells[0]:<44}" + "".join(f"{cell:>12}" for cell in cells[1:]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
