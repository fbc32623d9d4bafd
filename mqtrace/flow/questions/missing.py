"""What was sent and not processed, with its evidence. FLOW: a subscription owes what it is there to take.

A subscription is the consumer group, or the queue. It owes a message whose send did not fail, which was sent since the
earliest that it handled, is older than the horizon, and passes the threshold that its sampler decides with; and it is
asked only where it handled ten messages of that destination, sent through the same server: two clusters may have one
topic name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mqtrace.flow.answers import MissingRow
from mqtrace.flow.engine import Dialect, Engine, trace_hex
from mqtrace.flow.scope import Scope
from mqtrace.flow.source import STATES

from .messages import buried, messages, pairs
from .window import bounds, chosen, now_ns, rfc3339

__all__ = ["missing"]

#: Messages that a subscription has to have handled, and the share of what it owed below which it is a filter.
_LEAST: Final = 10
_WHOLE: Final = 0.9
_SHORTEST_NS: Final = 60 * 10**9
_OF_P99: Final = 10
# Sends of a partition that are this close may have their offsets in another order than their times.
_AT_ONCE_NS: Final = 10**9
_KEY: Final = " AND ".join(f"{{0}}.{name} = {{1}}.{name}" for name in ("mt", "ms", "sent_to", "attempt", "sent_pos"))
_PLACE: Final = " AND ".join(f"{{0}}.{name} = {{1}}.{name}" for name in ("server", "sent_to", "subscription"))
_OWED: Final = (
    *("mt", "ms", "sent_to", "attempt", "sent_pos", "part", "start_ns", "due_ns", "sender", "server", "subscription"),
    *("last_ns", "knows_parts", "horizon_ns", "receivers"),
)


def _named(table: str, names: tuple[str, ...]) -> str:
    """Columns with their names: engines name those of ``table.*`` in a join differently."""
    return ", ".join(f"{table}.{name} AS {name}" for name in names)


def query(d: Dialect) -> str:
    """Rows of (server, sent_to, subscription, sender, state): messages, oldest_ns, example. State '': all it owed."""
    wait = "CASE WHEN retry = 0 THEN greatest(coalesce(latency_ms, (start_ns - sent_ns) / 1e6), 0) END"
    scaled = f"greatest({_SHORTEST_NS}.0, {_OF_P99} * 1e6 * coalesce(wait_p99, 0))"
    horizon = f"CASE WHEN $after > 0 THEN $after ELSE {scaled} END"
    return f"""
WITH {messages(d)},
{pairs(d, "r.retry >= m.retry")},
{buried(d)},
takers AS (
  SELECT server, sent_to, subscription, min(sent_ns) AS since, max(start_ns) AS last_ns,
    {d.quantile(0.99, wait)} AS wait_p99, max(coalesce(threshold, 0)) AS threshold,
    max(CASE WHEN part IS NULL OR pos IS NULL THEN 0 ELSE 1 END) AS knows_parts, {d.names("receiver")} AS receivers
  FROM judged WHERE buried = 0 AND subscription IS NOT NULL AND sent_ns >= $lo
  GROUP BY server, sent_to, subscription HAVING {d.messages()} >= {_LEAST}
),
owed AS (
  SELECT m.mt AS mt, m.ms AS ms, m.destination AS sent_to, m.retry AS attempt, coalesce(m.pos, -1) AS sent_pos,
    m.part AS part, m.start_ns AS start_ns, m.start_ns + m.delay_s * 1e9 AS due_ns, m.service AS sender,
    t.server AS server, t.subscription AS subscription, t.last_ns AS last_ns, t.knows_parts AS knows_parts,
    t.horizon_ns AS horizon_ns, t.receivers AS receivers
  FROM messages m JOIN (SELECT *, {horizon} AS horizon_ns FROM takers) t
    ON t.sent_to = m.destination AND t.server = coalesce(m.server, '')
  WHERE m.failed = 0 AND m.start_ns >= t.since AND m.start_ns >= $lo
    AND m.start_ns + m.delay_s * 1e9 <= $now - t.horizon_ns
    AND (t.threshold = 0 OR {d.randomness("m.mt")} >= t.threshold)
),
left_over AS (
  SELECT {_named("o", _OWED)} FROM owed o LEFT JOIN (
    SELECT mt, ms, sent_to, attempt, sent_pos, subscription, 1 AS hit FROM judged WHERE buried = 0
  ) h ON {_KEY.format("h", "o")} AND h.subscription = o.subscription
  WHERE coalesce(h.hit, 0) = 0
),
reached AS (
  SELECT j.server AS server, j.sent_to AS sent_to, j.subscription AS subscription, j.part AS part, max(j.pos) AS top,
    {d.last("j.sent_ns", "j.pos")} AS top_ns, 1 AS hit
  FROM judged j WHERE j.buried = 0 AND j.pos IS NOT NULL AND j.part IS NOT NULL
  GROUP BY j.server, j.sent_to, j.subscription, j.part
),
placed AS (
  SELECT {_named("o", _OWED)}, coalesce(r.hit, 0) AS read, CASE WHEN coalesce(r.hit, 0) = 1 AND r.top > o.sent_pos THEN
    CASE WHEN r.top_ns >= o.start_ns - {_AT_ONCE_NS} THEN 1 ELSE 2 END ELSE 0 END AS passed
  FROM left_over o LEFT JOIN reached r ON {_PLACE.format("r", "o")} AND r.part = o.part
),
lives AS (
  SELECT server, sent_to, subscription, part, start_ns, sent_pos, mt, ms, ours, max(pos) OVER (
    PARTITION BY server, sent_to, subscription, part ORDER BY at_ns DESC, ours
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS top
  FROM (
    SELECT server, sent_to, subscription, part, start_ns, start_ns - {_AT_ONCE_NS} AS at_ns, sent_pos, mt, ms,
      1 AS ours, -1 AS pos FROM placed WHERE passed = 2
    UNION ALL
    SELECT j.server, j.sent_to, j.subscription, j.part, j.sent_ns, j.sent_ns, -1, j.mt, j.ms, 0, j.pos
    FROM judged j JOIN (
      SELECT server, sent_to, subscription, part FROM placed WHERE passed = 2
      GROUP BY server, sent_to, subscription, part
    ) p ON {_PLACE.format("p", "j")} AND p.part = j.part
    WHERE j.buried = 0 AND j.pos IS NOT NULL
  ) both_of_them
),
states AS (
  SELECT {_named("o", _OWED)}, CASE
    WHEN coalesce(b.hit, 0) = 1 THEN 'dead letter'
    WHEN o.knows_parts = 1 AND o.sent_pos >= 0 AND o.part IS NOT NULL THEN CASE
      WHEN o.read = 0 THEN 'partition not read'
      WHEN o.passed = 1 OR coalesce(l.hit, 0) = 1 THEN 'passed over'
      ELSE 'waiting' END
    WHEN o.last_ns > o.due_ns + o.horizon_ns THEN 'probably passed over'
    ELSE 'waiting' END AS state
  FROM placed o
  LEFT JOIN (
    SELECT mt, ms, sent_to, attempt, sent_pos, coalesce(dead_queue, '') AS died_in, 1 AS hit
    FROM judged WHERE buried = 1 GROUP BY mt, ms, sent_to, attempt, sent_pos, coalesce(dead_queue, '')
  ) b ON {_KEY.format("b", "o")} AND b.died_in = CASE WHEN b.died_in = '' THEN '' ELSE o.subscription END
  LEFT JOIN (
    SELECT DISTINCT mt, ms, subscription, sent_pos, 1 AS hit FROM lives WHERE ours = 1 AND top > sent_pos
  ) l ON l.mt = o.mt AND l.ms = o.ms AND l.subscription = o.subscription AND l.sent_pos = o.sent_pos
)
SELECT server, sent_to, subscription, sender, state, count(*) AS messages, min(start_ns) AS oldest_ns,
  {d.first("mt", "start_ns")} AS example, {d.some("receivers")} AS receivers
FROM states GROUP BY server, sent_to, subscription, sender, state
UNION ALL
SELECT server, sent_to, subscription, NULL, '', count(*), min(start_ns), {d.first("mt", "start_ns")},
  {d.some("receivers")}
FROM owed GROUP BY server, sent_to, subscription"""


def missing(engine: Engine, scope: Scope, after_s: float | None = None) -> list[MissingRow]:
    """The worst state first; a partial reader last."""
    parameters = bounds(scope)
    parameters["now"] = now_ns(scope)
    parameters["after"] = 0 if after_s is None else max(1, round(after_s * 1e9))
    subscriptions: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    owed: dict[tuple[str, str, str], int] = {}
    for row in engine.rows(query(engine.dialect), parameters):
        place = row["server"], row["sent_to"], row["subscription"]
        if row["state"] == "":
            owed[place] = int(row["messages"])
        else:
            subscriptions.setdefault(place, []).append(row)
    merged: dict[tuple[str, str, str | None], MissingRow] = {}
    for place, rows in subscriptions.items():
        share = _share(rows, owed[place])
        matching_rows = [
            row
            for row in rows
            if chosen(scope.services, (row["sender"], *(row["receivers"] or ())))
            and chosen(scope.destinations, (row["sent_to"],))
        ]
        for row in matching_rows:
            _merge(merged, row, None if share is not None else row["state"], share)
    order = [*STATES, None]
    return sorted(
        merged.values(), key=lambda row: (order.index(row["state"]), -row["messages"], row["sent_to"], row["oldest"])
    )


def _share(rows: Iterable[dict[str, Any]], owed: int) -> float | None:
    """What a partial reader handled of what it owed; None for one that reads all.

    A group that stopped, or that has no reader for a partition, is not a filter: both are left out when it is judged.
    """
    by_state: dict[str, int] = {}
    for row in rows:
        by_state[row["state"]] = by_state.get(row["state"], 0) + int(row["messages"])
    handled = owed - sum(by_state.values()) + by_state.get("dead letter", 0)
    passed = by_state.get("passed over", 0) + by_state.get("probably passed over", 0)
    return handled / owed if passed and handled < _WHOLE * (handled + passed) else None


def _merge(
    merged: dict[tuple[str, str, str | None], MissingRow], row: dict[str, Any], state: str | None, share: float | None
) -> None:
    """Senders and servers of one subscription and state are one row."""
    key = row["sent_to"], row["subscription"], state
    oldest = rfc3339(int(row["oldest_ns"]))
    row_so_far = merged.get(key)
    if row_so_far is None:
        merged[key] = {
            "sent_to": row["sent_to"],
            "subscription": row["subscription"],
            "state": state,
            "messages": int(row["messages"]),
            "oldest": oldest,
            "example": trace_hex(row["example"]),
            "share": share,
        }
        return
    row_so_far["messages"] += int(row["messages"])
    if oldest < row_so_far["oldest"]:
        row_so_far["oldest"], row_so_far["example"] = oldest, trace_hex(row["example"])
