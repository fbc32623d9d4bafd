"""kombu's clients pass the contract of clients, on its memory transport."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mqtrace.testing import ClientContract

kombu: Any = importlib.import_module("kombu")


class Kombu(ClientContract):
    system = "memory"

    @pytest.fixture(autouse=True)
    def _connection(self) -> Iterator[None]:
        with kombu.Connection("memory://") as self.connection:
            yield

    def make_sender(self) -> Any:
        return kombu.Producer(self.connection)

    def send(self, client: Any, destination: str, headers: Mapping[str, str] | None) -> None:
        queue = kombu.Queue(destination)
        client.publish({"a": 1}, exchange="", routing_key=destination, declare=[queue], headers=headers)

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return message.headers or {}


class TestConsumer(Kombu):
    """``kombu.Consumer`` calls back; a message is at hand only through ``Queue.get``."""

    def make_receiver(self, destination: str) -> Any:
        return kombu.Consumer(self.connection, [kombu.Queue(destination)])

    def receive(self, client: Any, destination: str) -> Any:
        message = kombu.Queue(destination)(self.connection.default_channel).get()
        assert message is not None
        message.ack()
        return message

    def handle(self, client: Any, destination: str, handler: Any) -> None:
        def callback(body: Any, message: Any) -> None:
            message.ack()
            handler(message)

        client.callbacks[:] = [callback]
        client.prefetch_count = 1
        client.qos(prefetch_count=1)
        client.consume()
        try:
            self.connection.drain_events(timeout=5)
        finally:
            client.cancel()

    def close(self, client: Any) -> None:
        """A producer or consumer lives as long as the connection's channel."""


class TestSimpleQueue(Kombu):
    """``SimpleQueue`` hands its messages out."""

    def make_receiver(self, destination: str) -> Any:
        return self.connection.SimpleQueue(destination)

    def receive(self, client: Any, destination: str) -> Any:
        message = client.get(timeout=5)
        message.ack()
        return message

    def close(self, client: Any) -> None:
        """A producer or queue lives as long as the connection's channel."""
