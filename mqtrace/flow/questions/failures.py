"""Retries and dead letters, and what failed."""

from __future__ import annotations

from typing import Any

from mqtrace.flow.answers import ErrorRow, FailureRow
from mqtrace.flow.engine import Dialect, Engine, trace_hex
from mqtrace.flow.scope import Scope

from .window import bounds, chosen

__all__ = ["errors", "failures"]


def retried(d: Dialect) -> str:
    """By subscription: the attempts at messages that were attempted again."""
    return f"""
SELECT destination, service, subscription, system, sum(again) AS retries, count(*) AS messages,
  sum(CASE WHEN succeeded > 0 THEN 1 ELSE 0 END) AS recovered, max(attempts) AS attempts,
  {d.some("error_type")} AS error_type, {d.last("mt", "last_ns")} AS example
FROM (
  SELECT destination, service, subscription, system, mt, ms, sum(CASE WHEN retry > 0 THEN 1 ELSE 0 END) AS again,
    max(CASE WHEN failed = 0 AND retry > 0 THEN 1 ELSE 0 END) AS succeeded, max(retry) + 1 AS attempts,
    max(start_ns) AS last_ns, {d.some("error_type")} AS error_type
  FROM {d.received()} r WHERE weak = 0 AND destination IS NOT NULL AND (failed = 1 OR retry > 0)
  GROUP BY destination, service, subscription, system, mt, ms
) one WHERE again > 0 GROUP BY destination, service, subscription, system"""


def dead(d: Dialect) -> str:
    """By subscription, queue and reason: what came back through a dead-letter exchange."""
    return f"""
SELECT destination, service, subscription, system, dead_queue, dead_reason, {d.messages()} AS messages,
  sum(1 - failed) AS recovered, {d.some("error_type")} AS error_type, {d.last("mt", "start_ns")} AS example
FROM {d.received()} r
WHERE weak = 0 AND dead = 1 AND destination IS NOT NULL AND coalesce(dead_queue, '') <> {d.queue("destination")}
GROUP BY destination, service, subscription, system, dead_queue, dead_reason"""


def failures(engine: Engine, scope: Scope) -> list[FailureRow]:
    """The most frequent first."""
    window = bounds(scope)
    rows = [_failure(row, None) for row in engine.rows(retried(engine.dialect), window)]
    rows += [_failure(row, int(row["messages"])) for row in engine.rows(dead(engine.dialect), window)]
    matching = [
        row
        for row in rows
        if chosen(scope.services, (row["service"],)) and chosen(scope.destinations, (row["destination"],))
    ]
    matching.sort(key=lambda row: (-row["dead_letters"], -row["retries"], row["destination"], row["service"] or ""))
    return matching


def _failure(row: dict[str, Any], dead_letters: int | None) -> FailureRow:
    return {
        "destination": row["destination"],
        "service": row["service"],
        "subscription": row["subscription"],
        "system": row["system"],
        "retries": 0 if dead_letters is not None else int(row["retries"]),
        "messages": int(row["messages"]),
        "recovered": int(row["recovered"]),
        "dead_letters": dead_letters or 0,
        "dead_letter_queue": row.get("dead_queue"),
        "dead_letter_reason": row.get("dead_reason"),
        "attempts": 1 if dead_letters is not None else int(row["attempts"]),
        "error_type": row["error_type"],
        "example": trace_hex(row["example"]),
    }


def failed(d: Dialect) -> str:
    """Sends and deliveries that failed, by their `error.type`."""
    return f"""
SELECT service, destination, kind, error_type, count(*) AS messages, {d.last("mt", "start_ns")} AS example FROM (
  SELECT service, destination, 'producer' AS kind, error_type, mt, start_ns FROM {d.sent()} s WHERE failed = 1
  UNION ALL
  SELECT service, destination, 'consumer', error_type, mt, start_ns FROM {d.received()} r WHERE failed = 1 AND weak = 0
) both_of_them GROUP BY service, destination, kind, error_type"""


def errors(engine: Engine, scope: Scope) -> list[ErrorRow]:
    """The most frequent first."""
    rows: list[ErrorRow] = [
        {
            "service": row["service"],
            "destination": row["destination"],
            "kind": row["kind"],
            "error_type": row["error_type"],
            "messages": int(row["messages"]),
            "example": trace_hex(row["example"]),
        }
        for row in engine.rows(failed(engine.dialect), bounds(scope))
        if chosen(scope.services, (row["service"],)) and chosen(scope.destinations, (row["destination"],))
    ]
    rows.sort(key=lambda row: (-row["messages"], row["destination"] or "", row["error_type"] or ""))
    return rows
