"""aiokafka's clients pass the contract of clients, on the embedded cluster and on a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]  # it has no types

from mqtrace.testing import AsyncClientContract


class TestAiokafka(AsyncClientContract):
    system = "kafka"
    header_bytes = 200_000
    bootstrap: str

    @pytest.fixture(autouse=True)
    def _kafka(self, kafka: str) -> None:
        self.bootstrap = kafka

    async def open_sender(self) -> Any:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        return producer

    async def open_receiver(self, destination: str) -> Any:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", client_id="reader")
        consumer.assign([TopicPartition(destination, 0)])
        await consumer.start()
        return consumer

    async def send_one(self, client: Any, destination: str, headers: Any) -> None:
        await client.send_and_wait(destination, b"body", partition=0, headers=headers)

    async def receive_one(self, client: Any, destination: str) -> Any:
        return await asyncio.wait_for(client.getone(), 15)

    def native_headers(self, headers: Mapping[str, str]) -> Any:
        return [(name, value.encode()) for name, value in headers.items()]

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return dict(message.headers)

    async def shut(self, client: Any) -> None:
        await client.stop()
