"""A shop's spans, as its services would write them, with losses of every state; the same seed makes the same spans.

Three services on five Kafka topics and a RabbitMQ queue, batches, retries, dead letters, two groups on one topic. Each
loss is noted in ``expected``, so that a test can say: all found, no other.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mqtrace.otlp.records import EventRecord, LinkRecord, SpanRecord

__all__ = ["Shop"]

_MS = 10**6
_S = 10**9


@dataclass
class Shop:
    """``spans(count)``: about so many, the last of them sent ``quiet_s`` before ``end_ns``.

    ``lose``: one message of so many is lost, 0 for none.
    """

    end_ns: int
    seed: int = 1
    length_s: float = 3600.0
    quiet_s: float = 900.0
    lose: int = 500
    #: (sent_to, subscription, state): how many were injected.
    expected: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: Trace ids by the same.
    examples: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)

    def spans(self, count: int) -> Iterator[SpanRecord]:
        """In the order of the sends."""
        rng = random.Random(self.seed)
        self._rng = rng
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._batch: list[tuple[SpanRecord, int]] = []
        orders = max(1, count * 20 // 143)
        begin = self.end_ns - round((self.length_s + self.quiet_s) * _S)
        step = round(self.length_s * _S / orders)
        for number in range(orders):
            yield from self._order(number, orders, begin + number * step)
        yield from self._shipped(begin + orders * step, last=True)

    # A trace: POST, send orders -> payments (group), audit (group); payments sends shipments -> a batch of shipping;
    # and a mail by RabbitMQ, which now and then is retried or dies.
    def _order(self, number: int, orders: int, at: int) -> Iterator[SpanRecord]:
        rng = self._rng
        trace = f"{rng.getrandbits(128) | 1:032x}"
        root = self._span(trace, None, "POST /orders", "server", at, 30 * _MS, "front", {"order.id": f"o-{number}"})
        yield root
        part = number % 6
        due = self.lose and orders // 20 < number < orders - orders // 20 and number % self.lose == 7
        kind: object = number // self.lose % 4 if due else None
        if kind == 3:
            part = 6  # a partition that nobody of one group reads
        sent = self._send(trace, root, "orders", part, at + _MS, "front")
        yield sent
        if part == 5 and number >= orders - 60:
            kind = "stopped"  # the tail of a partition that its group reads no more
        for group, service in (("payments", "payments"), ("audit", "audit")):
            if group == "payments" and kind == 0:
                self._note("orders", group, "passed over", trace)
                continue
            if group == "payments" and kind == 3:
                self._note("orders", group, "partition not read", trace)
                continue
            if group == "payments" and kind == "stopped":
                self._note("orders", group, "waiting", trace)
                continue
            taken = self._take(trace, sent, at + 10 * _MS, service, group, wait=rng.expovariate(1 / 8))
            yield taken
            if group == "payments":
                ship = self._send(trace, taken, "shipments", part, taken.start + _MS, "payments")
                yield ship
                self._batch.append((ship, part))
        yield from self._shipped(at)
        yield from self._mail(number, trace, root, at + 20 * _MS, kind)
        if number % 50 == 49:
            yield from self._failed_send(trace, root, at)

    def _failed_send(self, trace: str, parent: SpanRecord, at: int) -> Iterator[SpanRecord]:
        attributes = {**_KAFKA, "messaging.operation.type": "send", "messaging.destination.name": "orders"}
        attributes["error.type"] = "_MSG_TIMED_OUT"
        yield self._span(trace, parent, "send orders", "producer", at, _MS, "front", attributes, status="error")

    def _shipped(self, at: int, *, last: bool = False) -> Iterator[SpanRecord]:
        if len(self._batch) < 20 and not (last and self._batch):
            return
        links = tuple(
            LinkRecord(
                ship.trace_id,
                ship.span_id,
                {
                    "messaging.destination.partition.id": ship.attributes["messaging.destination.partition.id"],
                    "messaging.kafka.offset": ship.attributes["messaging.kafka.offset"],
                },
            )
            for ship, _ in self._batch
        )
        attributes: dict[str, Any] = {
            **_KAFKA,
            "messaging.operation.type": "process",
            "messaging.destination.name": "shipments",
            "messaging.consumer.group.name": "shipping",
            "messaging.batch.message_count": len(links),
        }
        at = max(at, *(ship.start for ship, _ in self._batch)) + 5 * _MS
        trace = f"{self._rng.getrandbits(128) | 1:032x}"
        yield self._span(trace, None, "process shipments", "consumer", at, 9 * _MS, "shipping", attributes, links=links)
        self._batch = []

    def _mail(self, number: int, trace: str, parent: SpanRecord, at: int, kind: Any) -> Iterator[SpanRecord]:
        attributes: dict[str, Any] = {
            **_RABBIT,
            "messaging.operation.type": "send",
            "messaging.destination.name": "mail:order",
        }
        sent = self._span(trace, parent, "send mail:order", "producer", at, _MS, "front", attributes)
        yield sent
        if kind == 1:
            self._note("mail:order", "mails", "probably passed over", trace)
            return
        taken: dict[str, Any] = {
            **_RABBIT,
            "messaging.operation.type": "process",
            "messaging.destination.name": "mail:order:mails",
            "messaging.message.receive.latency": self._rng.expovariate(1 / 20),
        }
        own = (LinkRecord(sent.trace_id, sent.span_id),)
        if kind == 2:
            taken["messaging.destination.name"] = "dead:order:mails.dead"
            taken["mqtrace.dead_letter.count"] = 1
            taken["mqtrace.dead_letter.queue"] = "mails"
            taken["mqtrace.dead_letter.reason"] = "expired"
            yield self._span(trace, sent, "process dead", "consumer", at + 9 * _MS, _MS, "morgue", taken, links=own)
            self._note("mail:order", "mails", "dead letter", trace)
            return
        for attempt in range(3 if number % 97 == 3 else 1):
            failed = number % 97 == 3 and attempt < 2
            more = {**taken, "messaging.message.retry.count": attempt} if attempt else taken
            if failed:
                more = {**more, "error.type": "SMTPServerDisconnected"}
            yield self._span(
                trace,
                sent,
                "process mails",
                "consumer",
                at + (20 + 100 * attempt) * _MS,
                12 * _MS,
                "mailer",
                more,
                links=own,
                status="error" if failed else "unset",
                events=(EventRecord("exception", at, {"exception.type": "SMTPServerDisconnected"}),) if failed else (),
            )

    def _note(self, sent_to: str, subscription: str, state: str, trace: str) -> None:
        self.expected[sent_to, subscription, state] += 1
        self.examples.setdefault((sent_to, subscription, state), set()).add(trace)

    def _send(self, trace: str, parent: SpanRecord, topic: str, part: int, at: int, service: str) -> SpanRecord:
        offset = self._offsets[topic, part]
        self._offsets[topic, part] += 1
        attributes = {
            **_KAFKA,
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(part),
            "messaging.kafka.offset": offset,
        }
        return self._span(trace, parent, f"send {topic}", "producer", at, 3 * _MS, service, attributes)

    def _take(self, trace: str, sent: SpanRecord, at: int, service: str, group: str, wait: float) -> SpanRecord:
        topic = sent.attributes["messaging.destination.name"]
        attributes = {
            **_KAFKA,
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": sent.attributes["messaging.destination.partition.id"],
            "messaging.kafka.offset": sent.attributes["messaging.kafka.offset"],
            "messaging.consumer.group.name": group,
            "messaging.message.receive.latency": wait,
        }
        link = (LinkRecord(sent.trace_id, sent.span_id),)
        return self._span(trace, sent, f"process {topic}", "consumer", at, 7 * _MS, service, attributes, links=link)

    def _span(
        self,
        trace: str,
        parent: SpanRecord | None,
        name: str,
        kind: str,
        at: int,
        length: int,
        service: str,
        attributes: dict[str, Any],
        *,
        links: tuple[LinkRecord, ...] = (),
        status: str = "unset",
        events: tuple[EventRecord, ...] = (),
    ) -> SpanRecord:
        return SpanRecord(
            trace,
            f"{self._rng.getrandbits(64) | 1:016x}",
            None if parent is None else parent.span_id,
            name,
            kind,
            at,
            at + round(length * self._rng.uniform(0.5, 2)),
            attributes,
            events,
            links,
            status,
            None,
            None,
            service,
            "mqtrace",
        )


_KAFKA = {"messaging.system": "kafka", "messaging.client.id": "rdkafka", "server.address": "kafka", "server.port": 9092}
_RABBIT = {"messaging.system": "rabbitmq", "server.address": "rabbit", "server.port": 5672}
