"""The delivery reports of confluent_kafka.aio's messages, from the thread of librdkafka's callback to that of the loop.

To wake a loop from another thread takes longer than to handle a report, and many reports come at once. So the first one
wakes the loop, which then handles it and all that have come until then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from confluent_kafka.cimpl import KafkaException

__all__ = ["Inbox", "Report"]


class Report:
    """The delivery callback of a message. ``future``: a future of the loop, which the report completes."""

    __slots__ = ("future", "inbox")

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.future: asyncio.Future[Any] = inbox.loop.create_future()
        inbox.awaited.add(self)

    def __call__(self, error: Any, message: Any) -> None:
        """Called by librdkafka, in whatever thread serves it."""
        self.inbox.put(self, error, message)

    def complete(self, error: Any, message: Any) -> None:
        """Complete the future, as the client does."""
        if not self.future.done():
            if error is None:
                self.future.set_result(message)
            else:
                self.future.set_exception(error if isinstance(error, BaseException) else KafkaException(error))


class Inbox:
    """The reports of one loop. ``awaited``: those that have not come yet."""

    __slots__ = ("_arrived", "_is_waking", "awaited", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.awaited: set[Report] = set()
        self._arrived: deque[tuple[Report, Any, Any]] = deque()
        self._is_waking = False

    def put(self, report: Report, error: Any, message: Any) -> None:
        """Take a report that has come. Runs in any thread."""
        self.awaited.discard(report)
        self._arrived.append((report, error, message))
        if not self._is_waking:
            self._is_waking = True
            try:
                self.loop.call_soon_threadsafe(self._empty)
            except RuntimeError:  # the loop is closed: no coroutine awaits the futures
                pass

    def _empty(self) -> None:
        self._is_waking = False  # first: a report that comes from now on wakes the loop again, even if this takes it
        while self._arrived:
            report, error, message = self._arrived.popleft()
            report.complete(error, message)
