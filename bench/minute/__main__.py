"""``python -m bench.minute``: run each of the three, print the table, and judge mqtrace's."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from typing import Any, Final

from bench.brokers import ROOT, address
from bench.http.receiver import receiving
from bench.table import machine

from . import __doc__ as what
from .received import count

__all__ = ["as_markdown", "main"]

_MOST_GROWTH: Final = 8 << 20
_BETWEEN: Final = re.compile(r"<!-- minute -->.*?<!-- /minute -->", re.S)
_TITLES: Final = {
    "http": "mqtrace, OTLP/HTTP",
    "kafka": "mqtrace, Kafka",
    "opentelemetry": "OpenTelemetry, BatchSpanProcessor and OTLP/HTTP",
    "url": "mqtrace, to the URL",
}


def main(arguments: list[str] | None = None) -> int:
    """Run and judge: exit status 1 for a span of mqtrace's that was dropped, or memory that grew by more than 8 MB."""
    parser = argparse.ArgumentParser(prog="python -m bench.minute", description=str(what).splitlines()[0])
    parser.add_argument("url", nargs="?", help="another exporter's URL, and only that")
    parser.add_argument("--only", choices=("http", "kafka", "opentelemetry"), help="one of the three")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=5_000, help="spans a second (5000)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each, and no table")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    asked = parser.parse_args(arguments)
    if asked.write and (asked.url or asked.only or (asked.seconds, asked.rate) != (60, 5_000)):
        parser.error("--write puts the whole table there: leave out the URL, --only, --seconds and --rate")
    names = ["url"] if asked.url else [asked.only] if asked.only else ["http", "kafka", "opentelemetry"]
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        found[name] = _run(name, asked.url, str(asked.rate), str(asked.seconds))
        print(json.dumps({"what": name, **found[name]}), file=sys.stdout if asked.json else sys.stderr, flush=True)
    table = as_markdown(found)
    if not asked.json:
        print(f"\n{table}")
    if asked.write:
        page = ROOT / "docs" / "benchmarks.md"
        text = f"<!-- minute -->\n{table}\n\n{_facts()}\n<!-- /minute -->"
        page.write_text(_BETWEEN.sub(text.replace("\\", r"\\"), page.read_text()))
    return 0 if all(_is_good(one) for name, one in found.items() if name != "opentelemetry") else 1


def _run(name: str, url: str, rate: str, seconds: str) -> dict[str, Any]:
    if name == "url":
        return _load("mqtrace", url, rate, seconds)
    if name == "kafka":
        with address("kafka") as bootstrap:
            topic = f"minute-{uuid.uuid4().hex[:8]}"
            found = _load("mqtrace", f"kafka://{bootstrap}/{topic}", rate, seconds)
            # the embedded broker forgets what is older than a few MB
            real = os.environ.get("KAFKA_BOOTSTRAP")
            return {**found, "spans_received": count(real, topic)} if real else found
    with receiving("--count") as (place, received):
        found = _load("opentelemetry" if name == "opentelemetry" else "mqtrace", place, rate, seconds)
    return {**found, "spans_received": received["spans"]}


def _load(variant: str, url: str, rate: str, seconds: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.minute.load", variant, url, rate, seconds]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _is_good(found: Mapping[str, Any]) -> bool:
    arrived = {found["spans_exported"], found.get("spans_received", found["spans_exported"])}
    return arrived == {found["spans_ended"]} and found["flushed"] and found["rss_growth"] <= _MOST_GROWTH


def as_markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A row each. Dropped: what was ended and not received, where it was counted."""
    lines = [
        "| 5,000 spans a second, 60 s | ended | received | dropped | CPU of the process, us a span | memory grown |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        received = one.get("spans_received")
        dropped = one.get("spans_dropped", one["spans_ended"] - (received or 0))
        cells = [_TITLES[name], f"{one['spans_ended']:,}", "" if received is None else f"{received:,}", f"{dropped:,}"]
        cells += [f"{one['cpu_us_a_span']:.1f}", f"{one['rss_growth'] / 1e6:.1f} MB"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _facts() -> str:
    names = ("confluent-kafka", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    load = f"{os.getloadavg()[2]:.0f} processes at work on average"  # in the last 15 minutes: ours and others'
    return f"{date.today()}, {machine()}, {load}, {versions}."


if __name__ == "__main__":
    sys.exit(main())
