"""How many spans are on a topic: what the broker's reports say has arrived, read back."""

from __future__ import annotations

import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from bench.http.receiver import count_spans

__all__ = ["count"]


def count(bootstrap: str, topic: str, seconds: float = 60.0) -> int:
    """Read the topic from its beginning to its end."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "enable.partition.eof": True, "log_level": 0}
    )
    places = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, place, OFFSET_BEGINNING) for place in places])
    at_end: set[int | None] = set()
    spans, deadline = 0, time.monotonic() + seconds
    while at_end != set(places) and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.2):
            error = message.error()
            if error is None:
                spans += count_spans(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
    consumer.close()
    return spans
