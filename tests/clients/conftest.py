"""An embedded cluster, for what needs a real client and no real broker, and a signal at a bad moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """librdkafka's mock cluster: its bootstrap servers."""
    holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = holder.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del holder


@pytest.fixture
def interrupt_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Have the next ``end`` of a span of a class raise KeyboardInterrupt: a signal arrives as it is entered.

    The interpreter runs the handlers of signals at the entry of a function written in Python, among other places.
    """

    def arm(spans: Any) -> None:
        method = spans.end

        def entered(self: Any, *arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(spans, "end", method)
            raise KeyboardInterrupt

        monkeypatch.setattr(spans, "end", entered)

    return arm


@pytest.fixture
def poll_one(cluster: str) -> Iterator[Callable[[str], Any]]:
    """``poll_one(topic)``: the first message of a topic, from a consumer that is not traced."""
    consumers: list[confluent_kafka.Consumer] = []

    def poll(topic: str) -> Any:
        consumer = confluent_kafka.Consumer({"bootstrap.servers": cluster, "group.id": topic, "log_level": 0})
        consumers.append(consumer)
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(4)])
        until = time.monotonic() + 10
        while time.monotonic() < until:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                return message
        raise TimeoutError(topic)

    yield poll
    for consumer in consumers:
        consumer.close()
