"""confluent-kafka's clients pass the contract of clients, on the embedded cluster."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

import confluent_kafka
import pytest

from mqtrace.testing import ClientContract


class TestConfluentKafka(ClientContract):
    system = "kafka"
    header_bytes = 200_000

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: str) -> None:
        self.cluster = cluster

    def make_sender(self) -> Any:
        return confluent_kafka.Producer({"bootstrap.servers": self.cluster, "log_level": 0})

    def make_receiver(self, destination: str) -> Any:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.cluster,
                "group.id": f"contract-{uuid.uuid4().hex}",
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        consumer.assign([confluent_kafka.TopicPartition(destination, 0, confluent_kafka.OFFSET_BEGINNING)])
        return consumer

    def send(self, client: Any, destination: str, headers: Mapping[str, str] | None) -> None:
        client.produce(destination, b"body", partition=0, headers=headers)
        assert client.flush(10) == 0

    def receive(self, client: Any, destination: str) -> Any:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            message = client.poll(0.2)
            if message is not None and message.error() is None:
                return message
        raise AssertionError(f"no message on {destination}")

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return dict(message.headers() or ())

    def close(self, client: Any) -> None:
        if hasattr(client, "unsubscribe"):
            client.close()
