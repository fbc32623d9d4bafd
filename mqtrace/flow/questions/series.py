"""A window in steps: rate and wait, for a line that is drawn."""

from __future__ import annotations

from typing import Any

from mqtrace.flow.answers import StepRow
from mqtrace.flow.engine import Dialect, Engine
from mqtrace.flow.scope import Scope

from .traces import matching
from .window import bounds, now_ns, rfc3339

__all__ = ["series"]


def query(d: Dialect, condition: str) -> str:
    """Rows of (step): sent, received, errors, quantiles of the wait."""
    wait = "CASE WHEN retry = 0 AND latency_ms >= 0 THEN latency_ms END"
    step = "floor((start_ns - $lo) / $step_ns)"
    return f"""
SELECT step, sum(sent) AS sent, sum(received) AS received, sum(errors) AS errors,
  {d.quantile(0.5, "wait_ms")} AS wait_p50_ms, {d.quantile(0.99, "wait_ms")} AS wait_p99_ms
FROM (
  SELECT {step} AS step, 1 AS sent, 0 AS received, failed AS errors, NULL AS wait_ms
  FROM {d.sent()} s WHERE destination IS NOT NULL AND retry = 0{condition}
  UNION ALL
  SELECT {step}, 0, messages, failed * messages, {wait} FROM {d.arrived()} r WHERE destination IS NOT NULL{condition}
) both_of_them GROUP BY step"""


def series(engine: Engine, scope: Scope, steps: int = 60) -> list[StepRow]:
    """As many rows as steps, those in which nothing was included; none where nothing is there."""
    d = engine.dialect
    window: dict[str, Any] = bounds(scope)
    if scope.from_ns is None:
        (edge,) = engine.rows(f"SELECT count(*) AS spans, min(start_ns) AS first_ns FROM {d.spans()} s", window)
        if not edge["spans"]:
            return []
        window["lo"] = int(edge["first_ns"])
    if scope.to_ns is None:
        (edge,) = engine.rows(f"SELECT count(*) AS spans, max(start_ns) AS last_ns FROM {d.spans()} s", window)
        if not edge["spans"]:
            return []
        window["hi"] = (int(edge["last_ns"]) if scope.from_ns is None else now_ns(scope)) + 1
    width = max(1, -(-(window["hi"] - window["lo"]) // steps))
    window["step_ns"] = width
    condition = ""
    for column, patterns in (("service", scope.services), ("destination", scope.destinations)):
        if patterns:
            condition += f" AND {column} IN ${column}s"
            window[f"{column}s"] = matching(engine, column, patterns, window)
    by_step = {int(row["step"]): row for row in engine.rows(query(d, condition), window)}
    if not by_step:
        return []
    return [_row(window["lo"] + width * step, by_step.get(step)) for step in range(steps)]


def _row(start_ns: int, row: dict[str, Any] | None) -> StepRow:
    if row is None:
        return {
            "start": rfc3339(start_ns),
            "sent": 0,
            "received": 0,
            "errors": 0,
            "wait_p50_ms": None,
            "wait_p99_ms": None,
        }
    return {
        "start": rfc3339(start_ns),
        "sent": int(row["sent"]),
        "received": int(row["received"]),
        "errors": int(row["errors"]),
        "wait_p50_ms": row["wait_p50_ms"],
        "wait_p99_ms": row["wait_p99_ms"],
    }
