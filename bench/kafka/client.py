"""What an application does with confluent-kafka, traced or not."""

from __future__ import annotations

import os
from typing import Any

import confluent_kafka

from bench.tracing import identity

from .variants import Variant

__all__ = ["PAYLOAD", "configuration", "fill", "ignore", "send", "subscribed"]

PAYLOAD = b"x" * 100


def configuration(bootstrap: str) -> dict[str, Any]:
    """Of every client."""
    return {"bootstrap.servers": bootstrap, "client.id": "bench", "log_level": 0, "linger.ms": 5}


def send(producer: Any, topic: str, count: int) -> None:
    """What an application does: produce, look at reports now and then, flush."""
    call, look = producer.produce, producer.poll
    for number in range(count):
        call(topic, PAYLOAD)
        if not number % 100:
            look(0)
    producer.flush(60)


def fill(client: dict[str, Any], topic: str, count: int, unsampled: bool) -> None:
    """Messages with a context, from a raw client, so that every variant reads the same."""
    producer = confluent_kafka.Producer({**client, "queue.buffering.max.messages": 1_000_000})
    for number in range(count):
        producer.produce(topic, PAYLOAD, headers=[("traceparent", identity(number, not unsampled))])
    producer.flush(60)


def subscribed(variant: Variant, client: dict[str, Any], topic: str) -> Any:
    """A consumer of everything in a topic."""
    consumer = variant.consumer(
        {
            **client,
            "group.id": f"bench-{os.getpid()}-{topic}",
            "auto.offset.reset": "earliest",
            # the embedded broker answers a fetch when this is over, whatever has come
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([topic])
    return consumer


def ignore(message: Any) -> None:
    """A handler that does nothing."""
