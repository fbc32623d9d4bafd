"""The map: services and destinations, and what goes along their arrows. No send is joined with its delivery, so it is
complete even where one side is not traced."""

from __future__ import annotations

from typing import Any

from mqtrace.flow.answers import Map, ReceivedRow, SentRow
from mqtrace.flow.engine import Dialect, Engine
from mqtrace.flow.scope import Scope

from .window import bounds, chosen

__all__ = ["map_of"]


def sent_query(d: Dialect) -> str:
    """A row a (service, destination, system). A retry's own send is not a message."""
    return f"""
SELECT service, destination, system, count(*) AS messages, {_WEIGHT} AS weighted, sum(failed) AS errors,
  min(start_ns) AS first_ns, max(start_ns) AS last_ns
FROM {d.sent()} s WHERE destination IS NOT NULL AND retry = 0 GROUP BY service, destination, system"""


def received_query(d: Dialect) -> str:
    """A row a (destination, service, subscription, system)."""
    return f"""
SELECT destination, service, subscription, system, sum(messages) AS deliveries, {_WEIGHT_OF_MANY} AS weighted,
  sum(failed * messages) AS errors, sum(CASE WHEN retry > 0 THEN messages ELSE 0 END) AS retries,
  sum(CASE WHEN dead = 1 AND coalesce(dead_queue, '') <> {d.queue("destination")} THEN messages ELSE 0 END) AS dead,
  {d.quantile(0.5, _WAIT)} AS wait_p50_ms, {d.quantile(0.99, _WAIT)} AS wait_p99_ms,
  {d.quantile(0.5, "duration_ns / 1e6")} AS work_p50_ms, {d.quantile(0.99, "duration_ns / 1e6")} AS work_p99_ms,
  min(start_ns) AS first_ns, max(start_ns) AS last_ns
FROM {d.arrived()} r WHERE destination IS NOT NULL GROUP BY destination, service, subscription, system"""


# A threshold of 56 bits rejects that share of all traces (OpenTelemetry, consistent probability sampling).
_EACH = "1 / (1 - coalesce(threshold, 0) / 72057594037927936.0)"
_WEIGHT = f"sum({_EACH})"
_WEIGHT_OF_MANY = f"sum(messages * {_EACH})"
_WAIT = "CASE WHEN retry = 0 AND latency_ms >= 0 THEN latency_ms END"


def map_of(engine: Engine, scope: Scope) -> Map:
    """Its arrows; a filter of services holds for the service, one of destinations for either name of a node."""
    window = bounds(scope)
    sent = engine.rows(sent_query(engine.dialect), window)
    received = engine.rows(received_query(engine.dialect), window)
    first = min((row["first_ns"] for row in (*sent, *received)), default=0)
    last = max((row["last_ns"] for row in (*sent, *received)), default=0)
    begin, end = scope.from_ns or first, last if scope.to_ns is None else scope.to_ns
    names = {row["destination"] for row in sent}
    arrows_in: list[SentRow] = [
        {
            "service": row["service"],
            "destination": row["destination"],
            "system": row["system"],
            "messages": int(row["messages"]),
            "weighted": float(row["weighted"]),
            "errors": int(row["errors"]),
        }
        for row in sent
        if chosen(scope.services, (row["service"],)) and chosen(scope.destinations, (row["destination"],))
    ]
    arrows_out = [
        arrow
        for arrow in (_received(row, names) for row in received)
        if chosen(scope.services, (arrow["service"],))
        and chosen(scope.destinations, (arrow["destination"], arrow["node"]))
    ]
    arrows_in.sort(key=lambda row: (-row["messages"], row["service"] or "", row["destination"]))
    arrows_out.sort(key=lambda row: (-row["messages"], row["destination"], row["service"] or ""))
    seconds = max(1.0, (end - begin) / 1e9) if sent or received else None
    return {"sent": arrows_in, "received": arrows_out, "seconds": seconds}


def _received(row: dict[str, Any], sent: set[str]) -> ReceivedRow:
    destination = row["destination"]
    return {
        "destination": destination,
        "node": node(destination, sent),
        "service": row["service"],
        "subscription": row["subscription"],
        "system": row["system"],
        "messages": int(row["deliveries"]),
        "weighted": float(row["weighted"]),
        "errors": int(row["errors"]),
        "retries": int(row["retries"]),
        "dead_letters": int(row["dead"]),
        "wait_p50_ms": row["wait_p50_ms"],
        "wait_p99_ms": row["wait_p99_ms"],
        "work_p50_ms": row["work_p50_ms"],
        "work_p99_ms": row["work_p99_ms"],
    }


def node(destination: str, sent: set[str]) -> str:
    """The longest sent name that this one is, or begins with (AMQP: exchange and routing key, then the queue)."""
    name = destination
    while name not in sent:
        name, colon, _ = name.rpartition(":")
        if not colon:
            return destination
    return name
