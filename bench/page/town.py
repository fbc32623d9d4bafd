"""Spans of a plausible shop of any size: what its services would have written in the last hours.

A front takes requests and passes messages on; each service sends on to a few others, over Kafka, RabbitMQ and Celery's
Redis, some in batches. Traffic comes in waves; one queue backs up and fails towards the end, some messages are tried
again, some end in a dead letter queue, some are never taken. The same seed makes the same spans.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from mqtrace.otlp.records import EventRecord, LinkRecord, SpanRecord

__all__ = ["Town"]

_MS: Final = 1_000_000
_EIGHT: Final = ("web", "orders", "payments", "stock", "shipping", "mail", "search", "audit")
_TEAMS: Final = ("billing", "catalog", "fleet", "growth", "identity", "ledger", "notify")
_ROLES: Final = ("api", "intake", "worker", "sync", "export", "rules", "archive")
_TOPICS: Final = ("created", "changed", "requested", "approved", "sent", "indexed", "expired")
_ERRORS: Final = (
    ("TimeoutError", "no answer from the warehouse in 5 s"),
    ("PaymentRefused", "402 the card has expired"),
    ("psycopg.OperationalError", "server closed the connection unexpectedly"),
    ("KeyError", "'customer_id'"),
)


@dataclass(frozen=True)
class _Hop:
    """A destination, who reads it, and how."""

    destination: str
    receiver: str
    system: str
    batch: bool
    wait_ms: float
    work_ms: float


class Town:
    """``services``: how many; ``end_ns``: when the last span ended; ``hours`` before that the first one began."""

    def __init__(self, services: int, end_ns: int, *, hours: float = 2.0, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._end_ns = end_ns
        self._length_ns = round(hours * 3600e9)
        names = [*_EIGHT, *(f"{team}-{role}" for role in _ROLES for team in _TEAMS)][:services]
        self._names = names
        self._hops: dict[str, list[_Hop]] = {name: [] for name in names}
        self._offsets: dict[str, int] = {}
        self._open: dict[str, list[SpanRecord]] = {}
        for number, receiver in enumerate(names[1:], 1):
            sender = names[0] if number < 3 else names[self._rng.randrange(max(0, number // 3 - 1), number)]
            self._hops[sender].append(self._hop(number, sender, receiver))
        # A queue that two services read, and answers that go back.
        if services >= 8:
            orders = self._hops["web"][0]
            self._hops["web"].append(_Hop(orders.destination, "audit", orders.system, False, 30, 3))
            self._hops["shipping"].append(_Hop("orders.shipped", "orders", "kafka", False, 15, 4))

    def _hop(self, number: int, sender: str, receiver: str) -> _Hop:
        rng = self._rng
        system = ("kafka", "kafka", "rabbitmq", "kafka", "redis")[number % 5]
        if system == "redis":
            destination = f"{receiver}"
        elif system == "rabbitmq":
            destination = f"shop:{receiver}.{_TOPICS[number % 7]}"
        else:
            destination = f"{sender.replace('web', 'orders') if number == 1 else receiver}.{_TOPICS[number % 7]}"
        wait, work = rng.lognormvariate(3.0, 1.1), rng.lognormvariate(2.2, 0.9)
        return _Hop(destination, receiver, system, system == "kafka" and number % 4 == 0, wait, work)

    def spans(self, count: int) -> Iterator[SpanRecord]:
        """About so many, in the order of their requests."""
        made = 0
        begin = self._end_ns - self._length_ns
        number = 0
        while made < count:
            part = made / count
            at = begin + round(part * self._length_ns * 0.995)
            for span in self._request(number, at, part):
                made += 1
                yield span
            number += 1

    def long_trace(self, spans: int, at: int) -> Iterator[SpanRecord]:
        """One request that fans out to so many spans."""
        trace = f"{self._rng.getrandbits(128) | 1:032x}"
        root = self._span(trace, None, "POST /import", "server", at, 4_000, self._names[0], {"import.rows": spans})
        yield root
        made = 1
        while made < spans:
            for span in self._onward(trace, root, at + made * 3 * _MS, self._names[0], 0.2, made):
                made += 1
                yield span
                if made >= spans:
                    return

    def _request(self, number: int, at: int, part: float) -> Iterator[SpanRecord]:
        rng = self._rng
        at += round(rng.random() * 2e8 * (1 + math.sin(part * 19)))
        trace = f"{rng.getrandbits(128) | 1:032x}"
        what = rng.choices(("POST /orders", "PUT /basket", "POST /returns"), (8, 3, 1))[0]
        attributes = {"http.request.method": what.split()[0], "order.id": f"o-{number}", "customer.tier": "gold"}
        root = self._span(trace, None, what, "server", at, rng.lognormvariate(2.5, 0.4), self._names[0], attributes)
        yield root
        yield from self._onward(trace, root, at + 2 * _MS, self._names[0], part, number)

    def _onward(
        self, trace: str, parent: SpanRecord, at: int, service: str, part: float, number: int, depth: int = 0
    ) -> Iterator[SpanRecord]:
        rng = self._rng
        hops = self._hops[service]
        if depth > 8 or not hops:
            return
        sent_to: dict[str, SpanRecord] = {}
        for hop in hops:
            if depth and rng.random() > 0.75:
                continue
            sent = sent_to.get(hop.destination)
            if sent is None:
                failed = rng.random() < 0.001
                sent = self._sent(trace, parent, hop, at, service, failed)
                sent_to[hop.destination] = sent
                yield sent
                if failed:
                    continue
            if rng.random() < 0.0006:  # nobody takes it
                continue
            yield from self._taken(trace, sent, hop, part, number, depth)

    def _sent(self, trace: str, parent: SpanRecord, hop: _Hop, at: int, service: str, failed: bool) -> SpanRecord:
        attributes: dict[str, Any] = {
            "messaging.system": hop.system,
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": hop.destination,
        }
        if hop.system == "kafka" and not failed:
            place = self._rng.randrange(6)
            key = f"{hop.destination} {place}"
            self._offsets[key] = self._offsets.get(key, 0) + 1
            attributes["messaging.destination.partition.id"] = str(place)
            attributes["messaging.kafka.offset"] = self._offsets[key]
        if failed:
            attributes["error.type"] = "_MSG_TIMED_OUT"
        length = self._rng.lognormvariate(1.0, 0.5)
        name = f"send {hop.destination}"
        return self._span(trace, parent, name, "producer", at, length, service, attributes, failed=failed)

    def _taken(
        self, trace: str, sent: SpanRecord, hop: _Hop, part: float, number: int, depth: int
    ) -> Iterator[SpanRecord]:
        rng = self._rng
        wait = hop.wait_ms * rng.lognormvariate(0, 0.7) * (1 + 0.6 * math.sin(part * 19))
        # One queue backs up for the last tenth of the time, and its receiver fails.
        broken = hop.receiver == self._names[3] and part > 0.9
        if broken:
            wait += 40_000 * (part - 0.9) * 10
        link = LinkRecord(sent.trace_id, sent.span_id, {
            key: value for key, value in sent.attributes.items() if key.endswith((".partition.id", ".offset"))
        })  # fmt: skip
        attributes: dict[str, Any] = {
            "messaging.system": hop.system,
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": hop.destination + (f":{hop.receiver}" if hop.system == "rabbitmq" else ""),
        }
        if hop.system == "kafka":
            attributes["messaging.consumer.group.name"] = f"{hop.receiver}-v2"
        name = f"process {attributes['messaging.destination.name']}"
        begun = sent.start + round(wait * _MS)
        if hop.batch:
            yield from self._batched(sent, link, hop, begun, attributes, name)
            return
        attributes.update(link.attributes)
        attributes["messaging.message.receive.latency"] = wait
        attempt = 0
        while True:
            failed = rng.random() < (0.18 if broken else 0.008)
            what, says = _ERRORS[number % 4]
            facts = dict(attributes)
            if attempt:
                facts["messaging.message.retry.count"] = attempt
                facts.pop("messaging.message.receive.latency", None)
            if failed:
                facts["error.type"] = what
            work = hop.work_ms * rng.lognormvariate(0, 0.5)
            taken = self._span(
                trace, sent, name, "consumer", begun, work, hop.receiver, facts, failed=failed, says=(what, says),
                links=(link,),
            )  # fmt: skip
            yield taken
            if not failed or attempt == 2 or hop.system == "kafka":
                break
            attempt += 1
            begun = taken.end + 2_000 * _MS * attempt
        if failed and hop.system == "rabbitmq":
            dead = {
                "messaging.system": "rabbitmq",
                "messaging.operation.type": "process",
                "messaging.destination.name": f"dead:{hop.receiver}:dead-letters",
                "mqtrace.dead_letter.count": 1,
                "mqtrace.dead_letter.queue": hop.receiver,
                "mqtrace.dead_letter.reason": "rejected",
            }
            at = taken.end + 5 * _MS
            yield self._span(trace, sent, "process dead-letters", "consumer", at, 2, "audit", dead, links=(link,))
        if not failed:
            yield self._span(
                trace, taken, f"SELECT {hop.receiver}", "client", taken.start + _MS // 2, hop.work_ms / 3, hop.receiver,
                {"db.system.name": "postgresql", "db.query.text": f"SELECT * FROM {hop.receiver} WHERE id = $1"},
            )  # fmt: skip
            yield from self._onward(trace, taken, taken.start + _MS, hop.receiver, part, number, depth + 1)

    def _batched(
        self, sent: SpanRecord, link: LinkRecord, hop: _Hop, begun: int, attributes: dict[str, Any], name: str
    ) -> Iterator[SpanRecord]:
        waiting = self._open.setdefault(hop.destination, [])
        waiting.append(sent)
        if len(waiting) < 12:
            return
        links = tuple(
            LinkRecord(one.trace_id, one.span_id, {
                key: value for key, value in one.attributes.items() if key.endswith((".partition.id", ".offset"))
            })
            for one in waiting
        )  # fmt: skip
        begun = max(begun, waiting[-1].end + _MS)
        facts = {**attributes, "messaging.batch.message_count": len(links)}
        trace = f"{self._rng.getrandbits(128) | 1:032x}"
        yield self._span(trace, None, name, "consumer", begun, hop.work_ms * 3, hop.receiver, facts, links=links)
        self._open[hop.destination] = []

    def _span(
        self,
        trace: str,
        parent: SpanRecord | None,
        name: str,
        kind: str,
        at: int,
        length_ms: float,
        service: str,
        attributes: dict[str, Any],
        *,
        failed: bool = False,
        says: tuple[str, str] = ("_MSG_TIMED_OUT", "Local: Message timed out"),
        links: tuple[LinkRecord, ...] = (),
    ) -> SpanRecord:
        end = at + round(length_ms * _MS)
        event = EventRecord("exception", end, {"exception.type": says[0], "exception.message": says[1]})
        return SpanRecord(
            trace,
            f"{self._rng.getrandbits(64) | 1:016x}",
            None if parent is None else parent.span_id,
            name,
            kind,
            at,
            end,
            attributes,
            (event,) if failed else (),
            links,
            "error" if failed else "unset",
            says[1] if failed else None,
            None,
            service,
            "mqtrace",
        )
