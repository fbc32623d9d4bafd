"""An embedded cluster, for what needs a real client and no real broker."""

from __future__ import annotations

from collections.abc import Iterator

import confluent_kafka
import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """librdkafka's mock cluster: its bootstrap servers."""
    holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = holder.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del holder
