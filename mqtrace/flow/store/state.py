"""The state of a database: the number, the time and the sampled share of its spans."""

from __future__ import annotations

import time
from typing import Final

from mqtrace.flow.answers import State
from mqtrace.flow.engine import Rows
from mqtrace.flow.questions.window import rfc3339

from .trace import Ask

__all__ = ["COUNTED", "SAMPLED", "counts", "sampled", "state_of"]

COUNTED: Final = """
SELECT count(*) AS spans, min(start_ns) AS oldest_ns, max(start_ns + greatest(duration_ns, 0)) AS newest_ns FROM span"""
SAMPLED: Final = """
SELECT count(*) AS spans, sum(1 / (1 - threshold / 72057594037927936.0)) AS weighted FROM span
WHERE threshold IS NOT NULL AND threshold < 72057594037927936"""


def sampled(rows: Rows) -> float | None:
    """The share of traces that was sampled, by the spans with a threshold; None if there are none."""
    (row,) = rows
    return row["spans"] / row["weighted"] if row["spans"] else None


def state_of(source: str, kind: str, spans: int, oldest_ns: int | None, newest_ns: int | None) -> State:
    """A state without trouble."""
    return {
        "source": source,
        "kind": kind,
        "spans": spans,
        "oldest": None if oldest_ns is None else rfc3339(oldest_ns),
        "newest": None if newest_ns is None else rfc3339(newest_ns),
        "age_s": None if newest_ns is None else max(0.0, (time.time_ns() - newest_ns) / 1e9),
        "behind": None,
        "sampled": None,
        "messages_malformed": 0,
        "spans_malformed": 0,
        "trouble": None,
        "window_s": None,
    }


def counts(ask: Ask) -> tuple[int, int | None, int | None]:
    """spans, oldest_ns, newest_ns."""
    (row,) = ask(COUNTED, {})
    return int(row["spans"]), row["oldest_ns"], row["newest_ns"]
