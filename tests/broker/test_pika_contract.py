"""pika's blocking channel passes the contract of clients, on a real RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest

from mqtrace.testing import ClientContract


class TestBlockingChannel(ClientContract):
    system = "rabbitmq"

    @pytest.fixture(autouse=True)
    def _connection(self, rabbitmq_url: str) -> Iterator[None]:
        self.connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
        yield
        self.connection.close()

    def new_destination(self) -> str:
        name = super().new_destination()
        self.connection.channel().queue_declare(name, exclusive=True)
        return name

    def make_sender(self) -> Any:
        return self.connection.channel()

    def make_receiver(self, destination: str) -> Any:
        return self.connection.channel()

    def send(self, client: Any, destination: str, headers: Mapping[str, str] | None) -> None:
        properties = None if headers is None else pika.BasicProperties(headers=dict(headers))
        client.basic_publish("", destination, b"body", properties)

    def native_headers(self, headers: Mapping[str, str]) -> Any:
        return pika.BasicProperties(headers=dict(headers))

    def send_native(self, client: Any, destination: str, headers: Any) -> None:
        client.basic_publish("", destination, b"body", headers)

    def receive(self, client: Any, destination: str) -> Any:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            message = client.basic_get(destination, auto_ack=True)
            if message[0] is not None:
                return message
            time.sleep(0.01)
        raise AssertionError(f"no message on {destination}")

    def handle(self, client: Any, destination: str, handler: Callable[[Any], Any]) -> None:
        def callback(channel: Any, method: Any, properties: Any, body: Any) -> None:
            channel.basic_ack(method.delivery_tag)
            channel.stop_consuming()
            handler((method, properties, body))

        client.basic_qos(prefetch_count=1)
        client.basic_consume(destination, callback)
        client.start_consuming()

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return message[1].headers or {}

    def close(self, client: Any) -> None:
        if client.is_open:
            client.close()
