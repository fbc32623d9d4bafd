"""A producer that writes what confluent-kafka refuses to write: names of headers that are not UTF-8.

kafka-python lets a name say how it is encoded. Its ``send`` waits for a broker that is away, so a thread has it.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final

from kafka import KafkaProducer  # type: ignore[import-untyped]  # kafka-python ships no types
from kafka.errors import KafkaError  # type: ignore[import-untyped]  # as above

from .headers import HOSTILE_NAMES

__all__ = ["ForeignProducer", "Name"]

_EVERY: Final = 0.2


class Name(str):
    """A header's name, as these bytes."""

    __slots__ = ("raw",)
    raw: bytes

    def __new__(cls, raw: bytes) -> Name:
        made = super().__new__(cls, raw.decode("latin-1"))
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes, whatever was asked for."""
        return self.raw


class ForeignProducer:
    """Sends a message with each of the names in turn, some a second, until ``close``. ``sent``: those that arrived."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.sent = 0
        self._bootstrap, self._topic = bootstrap, topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more, and wait for what is on its way."""
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        producer: Any = KafkaProducer(
            bootstrap_servers=self._bootstrap, max_block_ms=5_000, reconnect_backoff_max_ms=1_000
        )
        while not self._stop.wait(_EVERY):
            name = HOSTILE_NAMES[self.sent % len(HOSTILE_NAMES)]
            try:
                producer.send(self._topic, b"one pizza", headers=[(Name(name), b"x")]).get(10)
                self.sent += 1
            except KafkaError:
                pass  # the broker is away; if the message arrives after all, it is met more often than counted
        with contextlib.suppress(KafkaError):
            producer.close(5)
