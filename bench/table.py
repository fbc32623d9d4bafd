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
from typing import Final, NamedTuple

__all__ = ["as_markdown", "facts", "write"]

Figures = Mapping[str, Mapping[str, Sequence[float]]]


class Row(NamedTuple):
    """A line of the table. ``most``: the goal; ``added``: over the bare client of the same run."""

    title: str
    figure: str
    ours: str
    most: str
    unit: str = "us"
    added: bool = True


ROWS: Final = (
    Row("produce + its delivery report, sampled", "produce", "mqtrace", "3"),
    Row("produce, unsampled", "produce", "mqtrace unsampled", "1.3"),
    Row("produce, not configured", "produce", "mqtrace off", ""),
    Row("poll + decorated handler, sampled", "poll", "mqtrace", "3.5"),
    Row("poll + decorated handler, unsampled", "poll", "mqtrace unsampled", "2"),
    Row("poll + decorated handler, not configured", "poll", "mqtrace off", ""),
    Row("consume(100) + `batch`, a message", "batch", "mqtrace", "1"),
    Row("start and end a span", "span", "mqtrace", "", added=False),
    Row("start and end a span, unsampled", "span", "mqtrace unsampled", "", added=False),
    Row("inject into a dict", "inject", "mqtrace", "", added=False),
    Row("extract from a dict", "extract", "mqtrace", "", added=False),
    Row("dequeue and encode a span", "encode", "mqtrace", "1.5", added=False),
    Row("whole process, export beside, wall: produce", "whole produce", "mqtrace", "1/15"),
    Row("whole process, export beside, wall: consume", "whole consume", "mqtrace", "1/15"),
    Row("everything, CPU, from produce to both spans on the topic", "everything", "mqtrace", "14"),
    Row("bytes a span, raw", "bytes raw", "mqtrace", "", "B", added=False),
    Row("bytes a span, as sent (zstd)", "bytes sent", "mqtrace", "60", "B", added=False),
    Row("a span, allocated", "span allocated", "mqtrace", "", added=False),
    Row("a span, from a pool", "span pooled", "mqtrace", "", added=False),
)
_BETWEEN: Final = re.compile(r"<!-- benchmark -->.*?<!-- /benchmark -->", re.S)
# What a user wants to know first.
SUMMARY: Final = (0, 1, 3, 4, 6, 14)


def cell(figures: Figures, row: Row, variant: str) -> float | None:
    """The median of the rounds; of what is added, round by round, where the row is about that."""
    found = figures.get(variant, {}).get(row.figure)
    if not found:
        return None
    bare = figures["bare"].get(row.figure, ())
    if row.added and bare:
        return median(one - other for one, other in zip(found, bare, strict=False))
    return median(found)


def as_markdown(figures: Figures, rows: Sequence[Row] = ROWS) -> str:
    """The table."""
    lines = ["| added to the bare client, us | bare | mqtrace | goal | OpenTelemetry |", "|---|---|---|---|---|"]
    for row in rows:
        bare = figures["bare"].get(row.figure)
        shown = [
            row.title + (f", {row.unit}" if row.unit != "us" else ""),
            number(median(bare)) if bare and row.added else "",
            number(cell(figures, row, row.ours)),
            row.most and f"{'' if '/' in row.most else '<= '}{row.most}{' of it' if '/' in row.most else ''}",
            number(cell(figures, row, "opentelemetry")) if row.ours == "mqtrace" else "",
        ]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Two digits that matter."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 20 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def facts(rounds: int) -> str:
    """The machine and the versions."""
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        match = re.search(r"model name\s*: (.+)", info.read_text())
        model = match[1].strip() if match else model
    names = ("confluent-kafka", "opentelemetry-sdk", "opentelemetry-instrumentation-confluent-kafka")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{date.today()}, {platform.system()}, {os.cpu_count()} cores ({model}), "
        f"Python {platform.python_version()}, {versions}; medians of {rounds} rounds, variants in turn."
    )


def write(root: Path, figures: Figures, rounds: int) -> None:
    """Put the table where it is read: between the markers of both pages."""
    said = facts(rounds)
    for name, rows in (("docs/benchmarks.md", ROWS), ("README.md", [ROWS[number] for number in SUMMARY])):
        page = root / name
        text = f"<!-- benchmark -->\n{as_markdown(figures, rows)}\n\n{said}\n<!-- /benchmark -->"
        page.write_text(_BETWEEN.sub(text.replace("\\", r"\\"), page.read_text()))
