"""A broker for the examples: KAFKA_BOOTSTRAP, or librdkafka's embedded one in this process."""

from __future__ import annotations

import os

import confluent_kafka

__all__ = ["bootstrap"]

_kept: list[confluent_kafka.Producer] = []


def bootstrap() -> str:
    """Its bootstrap servers."""
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        return given
    # the embedded broker lives as long as the client that it is part of
    cluster = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    _kept.append(cluster)
    return ",".join(f"{broker.host}:{broker.port}" for broker in cluster.list_topics(timeout=10).brokers.values())
