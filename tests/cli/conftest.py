"""A broker in this process, and topics on it that hold spans."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer


@pytest.fixture(scope="session")
def embedded() -> Any:
    """The producer that owns librdkafka's mock cluster."""
    return Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1})


@pytest.fixture
def span_topic(embedded: Any) -> Callable[..., str]:
    """``span_topic(*payloads)``: the URL of a new topic that holds these messages."""
    (broker,) = embedded.list_topics(timeout=10).brokers.values()
    bootstrap = f"{broker.host}:{broker.port}"

    def make(*payloads: bytes | None) -> str:
        name = f"spans-{uuid.uuid4().hex[:8]}"
        embedded.list_topics(name, timeout=10)
        producer = Producer({"bootstrap.servers": bootstrap})
        for payload in payloads:
            producer.produce(name, payload)
        assert producer.flush(10) == 0
        return f"kafka://{bootstrap}/{name}"

    return make
