"""Questions to a topic of hundreds of thousands of spans on a real Kafka: every loss is found, and no other."""

from __future__ import annotations

import json
import uuid

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__

pytest.importorskip("duckdb", reason="the extra flow is not installed")

from mqtrace.cli import main
from tests.flow.encoded import payloads
from tests.flow.shop import Shop
from tests.flow.spans import NOW

_SPANS = 300_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.real_only("the embedded broker keeps too little of so much")
def test_every_loss_in_a_topic_is_found_and_no_other(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Over three partitions, in no order among them."""
    shop = Shop(NOW, lose=500)
    topic = f"mqtrace-flow-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result(30)
    try:
        producer = Producer({"bootstrap.servers": kafka, "compression.type": "zstd", "linger.ms": 50})
        for number, message in enumerate(payloads(shop.spans(_SPANS))):
            producer.produce(topic, message, partition=number % 3)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert main(["missing", f"kafka://{kafka}/{topic}", "--to", str(NOW), "--json"]) == 1
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {(row["sent_to"], row["subscription"], row["state"]): row["messages"] for row in rows} == dict(
            shop.expected
        )
    finally:
        admin.delete_topics([topic])[topic].result(30)
