"""The demo's own broker: the mock cluster of librdkafka, which speaks Kafka's protocol, in a process of its own.

It lives as long as the producer that owns it, forgets everything at its end, and makes a topic when asked about it.
"""

from __future__ import annotations

import sys
from typing import Any

from confluent_kafka import Producer

from .stage import say, stop_event

__all__ = ["embedded", "main"]


def embedded(*topics: str) -> tuple[Any, str]:
    """A running broker with these topics: the producer to hold, and the address."""
    owner = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = owner.list_topics(timeout=10).brokers.values()
    for topic in topics:
        owner.list_topics(topic, timeout=10)
    return owner, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def main(topics: list[str]) -> None:
    """Run a broker until the demo stops it."""
    stop = stop_event()
    owner, bootstrap = embedded(*topics)
    say(bootstrap=bootstrap)
    while not stop.wait(0.5):
        owner.poll(0)


if __name__ == "__main__":
    main(sys.argv[1:])
