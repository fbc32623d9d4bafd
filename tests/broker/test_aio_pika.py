"""aio-pika's channels, plain and robust, pass the contract of asynchronous clients, on a real RabbitMQ."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aio_pika
import pytest

from mqtrace.testing import AsyncClientContract


class Contract(AsyncClientContract):
    system = "rabbitmq"
    connect: Any

    @pytest.fixture(autouse=True)
    def _connection(self, rabbitmq_url: str) -> None:
        self.url = rabbitmq_url
        self.connection: Any = None

    def teardown_method(self, *args: object) -> None:
        if self.connection is not None:
            self.run(self.connection.close())
        super().teardown_method(*args)

    async def open_sender(self) -> Any:
        if self.connection is None:
            self.connection = await type(self).connect(self.url)
        return await self.connection.channel()

    async def open_receiver(self, destination: str) -> Any:
        return await self.open_sender()

    def new_destination(self) -> str:
        name = super().new_destination()

        async def declare() -> None:
            await (await self.open_sender()).declare_queue(name, exclusive=True)

        self.run(declare())
        return name

    def native_headers(self, headers: Mapping[str, str]) -> Any:
        return dict(headers)

    async def send_one(self, client: Any, destination: str, headers: Any) -> None:
        await client.default_exchange.publish(aio_pika.Message(b"body", headers=headers), destination)

    async def receive_one(self, client: Any, destination: str) -> Any:
        queue = await client.get_queue(destination, ensure=False)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                return message
            await asyncio.sleep(0.01)
        raise AssertionError(f"no message on {destination}")

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return message.headers  # type: ignore[no-any-return]  # a table


class TestChannel(Contract):
    connect = staticmethod(aio_pika.connect)


class TestRobustChannel(Contract):
    connect = staticmethod(aio_pika.connect_robust)


del Contract
