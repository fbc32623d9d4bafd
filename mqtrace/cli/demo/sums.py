"""The sums of a run of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .runner import Outcome

__all__ = ["summary"]


def summary(outcome: Outcome, broken: Mapping[str, Sequence[str]], problems: Sequence[str]) -> dict[str, Any]:
    """The sums, for ``--json`` and for the table."""
    foreign_spans = sum(outcome.foreign_spans.values())
    return {
        "messages_sent": sum(outcome.sent.values()),
        "messages_processed": sum(outcome.received.values()),
        "spans": outcome.spans,
        "spans_exported": foreign_spans + sum(stats["spans_exported"] for stats in outcome.stats.values()),
        "spans_of_opentelemetry": foreign_spans,
        "spans_dropped": sum(sum(stats["spans_dropped"].values()) for stats in outcome.stats.values()),
        "traces": len(outcome.traces),
        "traces_whole": len(outcome.traces) - len(broken),
        "added_cost_us": outcome.cost.get("added"),
        "bare_cost_us": outcome.cost.get("bare"),
        "seconds": round(outcome.seconds, 1),
        "problems": [*(sentence for sentences in broken.values() for sentence in sentences), *problems],
    }
