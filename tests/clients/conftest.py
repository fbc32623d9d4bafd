"""Messages that stand in for confluent-kafka's, made by hand: for what needs no broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest

from mqtrace.testing import Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-03".encode()


class FakeMessage(confluent_kafka.Message):
    """A Message whose getters say what it was made with. ``failure``: what ``error()`` gives."""

    def __new__(cls, **said: Any) -> FakeMessage:
        return super().__new__(cls)

    def __init__(self, **said: Any) -> None:
        self.said = {
            "topic": "orders",
            "partition": 3,
            "offset": 0,
            "value": b"v",
            "headers": None,
            "error": None,
            "timestamp": (confluent_kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_000),
            **said,
        }

    def topic(self) -> Any:
        return self.said["topic"]

    def partition(self) -> Any:
        return self.said["partition"]

    def offset(self) -> Any:
        return self.said["offset"]

    def value(self) -> Any:
        return self.said["value"]

    def headers(self) -> Any:
        if isinstance(self.said["headers"], Exception):
            raise self.said["headers"]
        return self.said["headers"]

    def error(self) -> Any:
        return self.said["error"]

    def timestamp(self) -> Any:
        return self.said["timestamp"]

    def __len__(self) -> int:
        return len(self.said["value"] or b"")


@pytest.fixture
def message() -> Callable[..., Any]:
    """``message(headers=[...])``: a Kafka message."""
    return FakeMessage


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record("shop") as recorded:
        yield recorded


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """librdkafka's mock cluster: its bootstrap servers."""
    holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = holder.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del holder
