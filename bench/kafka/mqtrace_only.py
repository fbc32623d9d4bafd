"""What only mqtrace has: its encoder, its bytes on the topic, and a pool of spans against plain allocation."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import confluent_kafka

from bench.steady import steady
from mqtrace import core, tracer
from mqtrace.core import SendSpan

SPANS = 100


def figures(bootstrap: str, count: int) -> dict[str, float]:
    """All of them."""
    made = spans()
    return {
        "encode": steady(lambda: encode(made, count)),
        "bytes raw": len(core.request(made)) / SPANS,
        "bytes sent": as_sent(bootstrap),
        "span allocated": steady(lambda: allocate(count)),
        "span pooled": steady(lambda: pool(count)),
    }


def templates() -> tuple[core.Template, core.Template]:
    """A send and a process operation as a confluent-kafka client has them."""
    known: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.client.id": "order-service",
        "server.address": "kafka.example.com",
        "server.port": 9092,
    }
    process: dict[str, str | int] = {
        **known,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "kitchen",
    }
    make = tracer.default().template
    return make("send orders", "producer", known), make("process orders", "consumer", process)


def spans() -> list[core.Span]:
    """A hundred, half of them sent, half of them processed."""
    send, process = templates()
    made: list[core.Span] = []
    for number in range(SPANS // 2):
        sent = core.start_send(send)
        assert isinstance(sent, SendSpan)
        sent.partition, sent.offset = number % 12, 1_000_000 + number
        sent.ended = sent.begun_ns + 900_000
        sent_at = time.time_ns() // 1_000_000
        handled = core.start_process(process, sent.identity, None, None, number % 12, 1_000_000 + number, sent_at)
        assert isinstance(handled, core.ProcessSpan)
        handled.ended = handled.begun_ns + 350_000
        made += [sent, handled]
    return made


def encode(made: list[core.Span], count: int) -> float:
    """CPU to take a span from the queue and encode it."""
    rounds = max(1, count // SPANS)
    queue = deque(made * rounds)
    began = time.thread_time()
    for _ in range(rounds):
        core.request([queue.popleft() for _ in range(SPANS)])
    return (time.thread_time() - began) / (rounds * SPANS) * 1e6


def as_sent(bootstrap: str) -> float:
    """Bytes that leave the socket, a span: batches of a hundred, compressed as the exporter's producer does."""
    sent: list[int] = [0]

    def stats(text: str) -> None:
        sent[0] = sum(broker["txbytes"] for broker in json.loads(text)["brokers"].values())

    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "zstd",
            "linger.ms": 20,
            "statistics.interval.ms": 50,
            "stats_cb": stats,
            "log_level": 0,
        }
    )
    producer.list_topics("otlp_spans", timeout=5)
    producer.poll(0.2)
    before = sent[0]
    batches = 50
    for _ in range(batches):
        producer.produce("otlp_spans", core.request(spans()), partition=0)
    producer.flush(10)
    for _ in range(4):
        producer.poll(0.1)
    return (sent[0] - before) / (batches * SPANS)


def allocate(count: int) -> float:
    """CPU to make a span and to let it go after a batch, as the queue and the worker do."""
    send, _ = templates()

    def work() -> None:
        batch = []
        for _ in range(SPANS):
            span = SendSpan()
            fill(span, send)
            batch.append(span)

    return timed(work, count // SPANS) / SPANS


def pool(count: int) -> float:
    """The same with spans that come from a pool and go back to it."""
    send, _ = templates()
    free: list[SendSpan] = []

    def work() -> None:
        batch = []
        for _ in range(SPANS):
            try:
                span = free.pop()
            except IndexError:
                span = SendSpan()
            fill(span, send)
            batch.append(span)
        for span in batch:
            # what a span held must not live on in the pool
            span.details = span.parent = span.state = span.baggage = None
            free.append(span)

    return timed(work, count // SPANS) / SPANS


def fill(span: SendSpan, template: core.Template) -> None:
    """What starting and ending a span stores in it."""
    span.template = template
    span.identity = b""
    span.parent = span.state = span.baggage = span.details = None
    span.parent_remote = False
    span.partition = span.offset = -1
    span.begun_ns = span.ended = 0


def timed(work: Callable[[], Any], count: int) -> float:
    """CPU of one call, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for _ in range(count):
            work()
        best = min(best, (time.thread_time() - began) / count * 1e6)
    return best
