"""Spans by hand: a few words each, all else as a tracer would fill it in."""

from __future__ import annotations

import itertools
from typing import Any

from mqtrace.otlp.records import LinkRecord, SpanRecord

MS = 10**6
S = 10**9
#: "Now" of the tests, and what is old enough to be judged.
NOW = 1_800_000_000 * S
OLD = NOW - 3600 * S

_numbers = itertools.count(1)


def span(name: str, kind: str, at: int = OLD, length: int = 5 * MS, **facts: Any) -> SpanRecord:
    """``service``, ``trace``, ``parent`` (a span), ``links`` (spans), ``failed``, ``state``; others are attributes."""
    number = next(_numbers)
    parent: SpanRecord | None = facts.pop("parent", None)
    trace = facts.pop("trace", None) or (parent.trace_id if parent else f"{number:032x}")
    links = tuple(LinkRecord(other.trace_id, other.span_id) for other in facts.pop("links", ()))
    return SpanRecord(
        trace,
        facts.pop("id", None) or f"{number:016x}",
        None if parent is None else parent.span_id,
        name,
        kind,
        at,
        at + length,
        links=links + tuple(facts.pop("raw_links", ())),
        status="error" if facts.pop("failed", False) else "unset",
        service=facts.pop("service", "front"),
        trace_state=facts.pop("state", None),
        attributes={_NAMES.get(key, key): value for key, value in facts.items() if value is not None},
    )


_NAMES = {
    "system": "messaging.system",
    "to": "messaging.destination.name",
    "part": "messaging.destination.partition.id",
    "pos": "messaging.kafka.offset",
    "group": "messaging.consumer.group.name",
    "op": "messaging.operation.type",
    "count": "messaging.batch.message_count",
    "latency": "messaging.message.receive.latency",
    "retry": "messaging.message.retry.count",
    "delay": "mqtrace.delay",
    "dead": "mqtrace.dead_letter.count",
    "dead_queue": "mqtrace.dead_letter.queue",
    "dead_reason": "mqtrace.dead_letter.reason",
    "server": "server.address",
    "error": "error.type",
}


def send(to: str = "orders", at: int = OLD, pos: int | None = None, **facts: Any) -> SpanRecord:
    """A PRODUCER span on Kafka, to partition 0 where it has an offset."""
    facts = {"system": "kafka", "op": "send", "part": None if pos is None else "0", **facts}
    return span(f"send {to}", facts.pop("kind", "producer"), at, to=to, pos=pos, **facts)


def take(sent: SpanRecord, at: int | None = None, **facts: Any) -> SpanRecord:
    """A CONSUMER span of that message, a second later, by group g of service back."""
    attributes = sent.attributes
    facts = {
        "system": attributes.get("messaging.system"),
        "op": "process",
        "to": attributes.get("messaging.destination.name"),
        "part": attributes.get("messaging.destination.partition.id"),
        "pos": attributes.get("messaging.kafka.offset"),
        "group": "g" if attributes.get("messaging.system") == "kafka" else None,
        "service": "back",
        "parent": sent,
        "links": (sent,),
        **facts,
    }
    return span(f"process {facts['to']}", "consumer", sent.start + S if at is None else at, **facts)


def batch(sent: list[SpanRecord], at: int | None = None, **facts: Any) -> SpanRecord:
    """A CONSUMER span of all these, in a trace of its own; partition and offset are on its links."""
    links = [
        LinkRecord(
            one.trace_id,
            one.span_id,
            {
                key: one.attributes[key]
                for key in ("messaging.destination.partition.id", "messaging.kafka.offset")
                if key in one.attributes
            },
        )
        for one in sent
    ]
    to = sent[0].attributes["messaging.destination.name"]
    facts = {"system": "kafka", "op": "process", "to": to, "group": "g", "service": "back", "count": len(sent), **facts}
    when = max(one.start for one in sent) + S if at is None else at
    return span(f"process {to}", "consumer", when, raw_links=links, **facts)
