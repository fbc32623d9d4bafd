"""The newest or the slowest traces that pass the filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mqtrace.flow.answers import TraceRow
from mqtrace.flow.engine import Dialect, Engine, trace_hex
from mqtrace.flow.scope import Scope
from mqtrace.flow.source import TracesOrder

from .window import bounds, chosen, rfc3339

__all__ = ["matching", "traces"]

#: The spans that a trace is guessed to have: so far back the newest traces are looked for at first.
_SPANS_EACH: Final = 50


def traces(
    engine: Engine,
    scope: Scope,
    *,
    order: TracesOrder = "newest",
    errors: bool = False,
    attribute: tuple[str, str] | None = None,
    limit: int = 20,
) -> list[TraceRow]:
    """The rows. A row counts all spans of its trace, also those outside of the window."""
    d = engine.dialect
    parameters = bounds(scope)
    condition, more = _filters(engine, scope, errors, attribute, parameters)
    parameters.update(more)
    parameters["limit"] = limit
    if order == "newest":
        listed = _newest(engine, condition, parameters, limit)
    else:
        listed = engine.rows(_listed(d, condition, "max(end_ns) - min(start_ns)"), parameters)
    if not listed:
        return []
    with_all_spans = engine.rows(
        _details(d), {"traces": [row["trace"] for row in listed], "lo": 0, "hi": bounds(Scope())["hi"]}
    )
    rows = [_row(row) for row in with_all_spans]
    # They were listed by their spans in the window; by all of them a trace may begin earlier or last longer.
    if order == "slowest":
        rows.sort(key=lambda row: (row["duration_ms"], row["trace_id"]), reverse=True)
    else:
        rows.sort(key=lambda row: (row["start"], row["trace_id"]), reverse=True)
    return rows


def _newest(engine: Engine, condition: str, parameters: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """The newest traces. Looks back from the last span no further than it has to."""
    d = engine.dialect
    wanted = limit * _SPANS_EACH
    while True:
        (edge,) = engine.rows(
            f"SELECT min(start_ns) AS edge, count(*) AS spans FROM ("
            f"SELECT start_ns FROM {d.spans()} s ORDER BY start_ns DESC LIMIT {wanted}) t",
            parameters,
        )
        if not edge["spans"]:
            return []
        near = {**parameters, "lo": int(edge["edge"])}
        whole = edge["spans"] < wanted
        listed = engine.rows(_listed(d, condition, "min(start_ns)"), parameters if whole else near)
        if whole or len(listed) >= limit:
            return listed
        wanted *= 20


def _listed(d: Dialect, condition: str, by: str) -> str:
    return f"SELECT trace FROM {d.spans()} s{condition} GROUP BY trace ORDER BY {by} DESC, trace DESC LIMIT $limit"


def _details(d: Dialect) -> str:
    earliest = "CASE WHEN parent IS NULL THEN 0 ELSE 1 END * 4611686018427387904 + start_ns / 2"
    return f"""
SELECT trace, {d.first("name", earliest)} AS root, min(start_ns) AS began_ns, max(end_ns) AS ended_ns,
  count(*) AS spans,
  {d.names("service")} AS who, sum(failed) AS failures
FROM {d.spans()} s WHERE trace IN $traces GROUP BY trace"""


def _filters(
    engine: Engine,
    scope: Scope,
    errors: bool,
    attribute: tuple[str, str] | None,
    window: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """A condition on ``trace``: any span of it may meet each filter."""
    d = engine.dialect
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    if errors:
        conditions.append(f"trace IN (SELECT trace FROM {d.spans()} e WHERE failed = 1)")
    for column, patterns in (("service", scope.services), ("destination", scope.destinations)):
        if patterns:
            conditions.append(f"trace IN (SELECT trace FROM {d.spans()} n WHERE {column} IN ${column}s)")
            parameters[f"{column}s"] = matching(engine, column, patterns, window)
    if attribute is not None:
        relation, more = d.with_attribute(*attribute)
        conditions.append(f"trace IN (SELECT trace FROM {relation} a)")
        parameters.update(more)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else "", parameters)


def matching(engine: Engine, column: str, patterns: Sequence[str], window: Mapping[str, Any]) -> list[str]:
    """The names in a column that match the patterns; never empty, because an empty list has no type."""
    listed = engine.rows(f"SELECT DISTINCT {column} AS name FROM {engine.dialect.spans()} s", window)
    return [row["name"] for row in listed if row["name"] and chosen(tuple(patterns), (row["name"],))] or ["\0"]


def _row(row: dict[str, Any]) -> TraceRow:
    start = int(row["began_ns"])
    return {
        "trace_id": trace_hex(row["trace"]),
        "root": row["root"] or "",
        "start": rfc3339(start),
        "duration_ms": max(0, int(row["ended_ns"]) - start) / 1e6,
        "spans": int(row["spans"]),
        "services": sorted(row["who"] or ()),
        "errors": int(row["failures"]),
    }
