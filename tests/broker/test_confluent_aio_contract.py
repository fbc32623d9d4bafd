"""confluent_kafka.aio's clients pass the contract of clients, on the embedded cluster and on a real Kafka."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.aio import AIOConsumer, AIOProducer

from mqtrace.testing import AsyncClientContract


class TestConfluentAio(AsyncClientContract):
    system = "kafka"
    header_bytes = 200_000
    bootstrap: str

    @pytest.fixture(autouse=True)
    def _kafka(self, kafka: str) -> None:
        self.bootstrap = kafka

    async def open_sender(self) -> Any:
        return AIOProducer({"bootstrap.servers": self.bootstrap, "log_level": 0}, buffer_timeout=0.1)

    async def open_receiver(self, destination: str) -> Any:
        group = f"contract-{uuid.uuid4().hex}"
        consumer = AIOConsumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            },
            max_workers=2,
        )
        await consumer.assign([confluent_kafka.TopicPartition(destination, 0, confluent_kafka.OFFSET_BEGINNING)])
        return consumer

    async def send_one(self, client: Any, destination: str, headers: Any) -> None:
        if headers is None:
            await (await client.produce(destination, b"body", partition=0))
            return
        # The client takes no headers: who writes them does it past the client.
        producer = confluent_kafka.Producer({"bootstrap.servers": self.bootstrap, "log_level": 0})
        producer.produce(destination, b"body", partition=0, headers=headers)
        assert producer.flush(10) == 0

    async def receive_one(self, client: Any, destination: str) -> Any:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            message = await client.poll(0.2)
            if message is not None and message.error() is None:
                return message
        raise AssertionError(f"no message on {destination}")

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return dict(message.headers() or ())

    # What a user cannot write, nobody can refuse: the client takes no headers.
    test_the_users_headers_are_sent_and_not_changed = None  # type: ignore[assignment]
    test_a_valid_context_of_the_users_is_kept_and_linked = None  # type: ignore[assignment]
    test_a_malformed_context_of_the_users_is_replaced = None  # type: ignore[assignment]
    test_neither_body_nor_headers_land_on_a_span = None  # type: ignore[assignment]
    test_before_configure_messages_go_out_as_they_are = None  # type: ignore[assignment]
    test_a_message_that_is_sent_on_with_its_headers_is_below_the_handler_that_sends_it = None  # type: ignore[assignment]
