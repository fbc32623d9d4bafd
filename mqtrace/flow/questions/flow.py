"""Who sent to whom: sends, and their deliveries, as rows of pairs."""

from __future__ import annotations

from typing import Any

from mqtrace.flow.answers import FlowRow
from mqtrace.flow.engine import Dialect, Engine
from mqtrace.flow.scope import Scope

from .messages import buried, messages, pairs
from .window import bounds, chosen

__all__ = ["flow"]


def query(d: Dialect) -> str:
    """One row a pair; those without a receiver or a sender behind a UNION."""
    wait = "CASE WHEN retry = 0 THEN greatest(coalesce(latency_ms, (start_ns - sent_ns) / 1e6), 0) END"
    estimated = "d.start_ns - coalesce(d.latency_ms, 0) * 1e6"
    quantiles = ", ".join(
        (
            f"{d.quantile(0.5, 'wait_ms')} AS wait_p50_ms",
            f"{d.quantile(0.99, 'wait_ms')} AS wait_p99_ms",
            f"{d.quantile(0.5, 'work_ms')} AS work_p50_ms",
            f"{d.quantile(0.99, 'work_ms')} AS work_p99_ms",
        )
    )
    return f"""
WITH {messages(d, "retry = 0")},
{pairs(d)},
{buried(d)},
several AS (
  SELECT mt, ms, sent_to, sent_pos, subscription, 1 AS hit, min(rid) AS rid
  FROM judged GROUP BY mt, ms, sent_to, sent_pos, subscription HAVING count(*) > 1
),
timed AS (
  SELECT p.*, {wait} AS wait_ms, p.duration_ns / 1e6 AS work_ms,
    CASE WHEN coalesce(s.hit, 0) = 0 OR s.rid = p.rid THEN 1 ELSE 0 END AS counts
  FROM judged p LEFT JOIN several s ON s.mt = p.mt AND s.ms = p.ms AND s.sent_to = p.sent_to
    AND s.sent_pos = p.sent_pos AND s.subscription = p.subscription
  WHERE p.sent_ns >= $lo
)
SELECT sender, sent_to, taken_from, receiver, subscription, system, sum(counts) AS messages, count(*) AS deliveries,
  0 AS send_errors, sum(failed) AS errors, sum(CASE WHEN retry > 0 THEN 1 ELSE 0 END) AS retries,
  sum(buried) AS dead_letters, {quantiles}
FROM timed GROUP BY sender, sent_to, taken_from, receiver, subscription, system
UNION ALL
SELECT m.service, m.destination, NULL, NULL, NULL, m.system, count(*), 0, sum(m.failed), 0, 0, 0, NULL, NULL, NULL, NULL
FROM messages m LEFT JOIN (
  SELECT mt, ms, sent_to, sent_pos, 1 AS hit FROM pairs GROUP BY mt, ms, sent_to, sent_pos
) p ON p.mt = m.mt AND p.ms = m.ms AND p.sent_to = m.destination AND p.sent_pos = coalesce(m.pos, -1)
WHERE coalesce(p.hit, 0) = 0 AND m.start_ns >= $lo
GROUP BY m.service, m.destination, m.system
UNION ALL
SELECT NULL, NULL, destination, service, subscription, system, {d.messages()}, count(*), 0, sum(failed),
  sum(CASE WHEN retry > 0 THEN 1 ELSE 0 END), sum(dead), {quantiles}
FROM (
  SELECT d.*, CASE WHEN d.retry = 0 AND d.latency_ms >= 0 THEN d.latency_ms END AS wait_ms,
    d.duration_ns / 1e6 AS work_ms
  FROM deliveries d LEFT JOIN (SELECT mt, ms, rid, 1 AS hit FROM pairs) p
    ON p.mt = d.mt AND p.ms = d.ms AND p.rid = d.rid
  WHERE coalesce(p.hit, 0) = 0 AND d.weak = 0 AND d.start_ns < $hi AND {estimated} >= $lo
) untraced
GROUP BY destination, service, subscription, system"""


def flow(engine: Engine, scope: Scope) -> list[FlowRow]:
    """The pairs; filters hold for either side."""
    rows = [
        _row(row)
        for row in engine.rows(query(engine.dialect), bounds(scope))
        if chosen(scope.services, (row["sender"], row["receiver"]))
        and chosen(scope.destinations, (row["sent_to"], row["taken_from"]))
    ]
    rows.sort(key=lambda row: (-row["messages"], *(str(name or "") for name in list(row.values())[:6])))
    return rows


def _row(row: dict[str, Any]) -> FlowRow:
    return {
        "sender": row["sender"],
        "sent_to": row["sent_to"],
        "taken_from": row["taken_from"],
        "receiver": row["receiver"],
        "subscription": row["subscription"],
        "system": row["system"],
        "messages": int(row["messages"]),
        "deliveries": int(row["deliveries"]),
        "send_errors": int(row["send_errors"]),
        "errors": int(row["errors"]),
        "retries": int(row["retries"]),
        "dead_letters": int(row["dead_letters"]),
        "wait_p50_ms": row["wait_p50_ms"],
        "wait_p99_ms": row["wait_p99_ms"],
        "work_p50_ms": row["work_p50_ms"],
        "work_p99_ms": row["work_p99_ms"],
    }
