"""From figures to the table, and to docs/benchmarks.md and README.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from .rows import SECTIONS, Row

__all__ = ["as_markdown", "facts", "machine", "write"]

Figures = Mapping[str, Mapping[str, Sequence[float]]]


_BETWEEN: Final = re.compile(r"<!-- benchmark -->.*?<!-- /benchmark -->", re.S)
# Everything with a version of its own that a figure depends on.
_MEASURED: Final = (
    "confluent-kafka",
    "aiokafka",
    "kafka-python",
    "pika",
    "aio-pika",
    "kombu",
    "celery",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-confluent-kafka",
    "opentelemetry-instrumentation-aiokafka",
    "opentelemetry-instrumentation-kafka-python",
    "opentelemetry-instrumentation-pika",
    "opentelemetry-instrumentation-aio-pika",
    "opentelemetry-instrumentation-celery",
)


def cell(figures: Figures, row: Row, variant: str) -> float | None:
    """The median of the rounds.

    Of what is added, where the row is about that: round by round the difference to the bare process, unless the
    process has compared itself to the bare client (alternate.py).
    """
    added = figures.get(variant, {}).get(f"{row.figure} added")
    if row.added and added:
        return median(added)
    found = figures.get(variant, {}).get(row.figure)
    if not found:
        return None
    bare = figures["bare"].get(row.figure, ())
    if row.added and bare:
        return median(one - other for one, other in zip(found, bare, strict=False))
    return median(found)


def as_markdown(figures: Figures, *, summary: bool = False) -> str:
    """The table: the rows that were measured, or of those the most important ones."""
    lines = ["| added to the bare client, us | bare | mqtrace | goal | OpenTelemetry |", "|---|---|---|---|---|"]
    for section, rows in SECTIONS.items():
        shown = [row for row in rows if (row.summary or not summary) and row.figure in figures.get(row.ours, ())]
        if shown:
            lines += [f"| **{section}** | | | | |", *(line(figures, row) for row in shown)]
    return "\n".join(lines)


def line(figures: Figures, row: Row) -> str:
    """A row with its figures."""
    bare = figures["bare"].get(row.figure)
    shown = [
        row.title + (f", {row.unit}" if row.unit != "us" else ""),
        number(median(bare)) if bare and row.added else "",
        number(cell(figures, row, row.ours)),
        row.most and f"{'' if '/' in row.most else '<= '}{row.most}{' of it' if '/' in row.most else ''}",
        number(cell(figures, row, "opentelemetry")) if row.ours == "mqtrace" else "",
    ]
    return f"| {' | '.join(shown)} |"


def number(value: float | None) -> str:
    """Two digits that matter."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 20 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> str:
    """What the figures were measured on."""
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        match = re.search(r"model name\s*: (.+)", info.read_text())
        model = match[1].strip() if match else model
    return f"{platform.system()}, {os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def facts(rounds: int, missing: Sequence[str] = ()) -> str:
    """The machine and the versions, and which brokers were ``missing``."""
    versions = ", ".join(f"{name} {version(name)}" for name in _MEASURED)
    left_out = "".join(f" No {broker} was running: its rows are left out." for broker in missing)
    measured = "one round" if rounds == 1 else f"medians of {rounds} rounds"
    return f"{date.today()}, {machine()}, {versions}; {measured}, variants in turn.{left_out}"


def write(root: Path, figures: Figures, said: str) -> None:
    """Put the table where it is read: between the markers of both pages. ``said``: the line below it."""
    for name, summary in (("docs/benchmarks.md", False), ("README.md", True)):
        page = root / name
        text = f"<!-- benchmark -->\n{as_markdown(figures, summary=summary)}\n\n{said}\n<!-- /benchmark -->"
        page.write_text(_BETWEEN.sub(text.replace("\\", r"\\"), page.read_text()))
