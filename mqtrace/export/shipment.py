"""A batch on its way to Kafka: one message mostly, several where it was split, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mqtrace.core import Span

from .protocol import Settle

__all__ = ["Message", "Shipment"]


class Shipment:
    """What became of one batch, while messages of it are under way."""

    __slots__ = ("exported", "lost", "pending", "settle", "size")

    def __init__(self, settle: Settle) -> None:
        self.settle = settle
        self.pending = 1  # the one who is still handing it over
        self.exported = 0
        self.size = 0
        self.lost: dict[str, int] = {}

    def lose(self, reason: str, count: int) -> None:
        """Count spans that will not arrive."""
        self.lost[reason] = self.lost.get(reason, 0) + count

    def one_done(self) -> None:
        """A message has ended, one way or the other; after the last one the batch is settled."""
        self.pending -= 1
        if not self.pending:
            self.settle(self.exported, self.size, self.lost)


class Message:
    """One message; it is its own delivery callback."""

    __slots__ = ("_reported", "alone", "deadline", "key", "payload", "shipment", "spans")

    def __init__(
        self,
        reported: Callable[[Message, Any], None],
        shipment: Shipment,
        key: bytes | None,
        spans: Sequence[Span],
        payload: bytes,
        deadline: float,
    ) -> None:
        self._reported = reported
        self.shipment = shipment
        self.key = key
        self.spans = spans
        self.payload = payload
        self.deadline = deadline
        #: Whether it was sent in a request of its own.
        self.alone = False

    def __call__(self, error: Any, message: Any) -> None:
        """The delivery report: a KafkaError or None."""
        self._reported(self, error)
