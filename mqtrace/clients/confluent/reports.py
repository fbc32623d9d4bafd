"""The delivery reports of confluent_kafka.aio's messages: from the thread that librdkafka calls in to the loop's.

To wake a loop from another thread takes longer than all that is to be done with a report, and they come many at once:
so the first one wakes it, and those that come until it is awake are settled with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from confluent_kafka.cimpl import KafkaException

__all__ = ["Inbox", "Report"]


class Report:
    """The delivery callback of a message. ``future``: of its loop, done when the report is."""

    __slots__ = ("future", "inbox")

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.future: asyncio.Future[Any] = inbox.loop.create_future()
        inbox.owed.add(self)

    def __call__(self, error: Any, message: Any) -> None:
        """Called by librdkafka, in whatever thread serves it."""
        self.inbox.put(self, error, message)

    def settle(self, error: Any, message: Any) -> None:
        """Settle the future, as the client does."""
        if not self.future.done():
            if error is None:
                self.future.set_result(message)
            else:
                self.future.set_exception(error if isinstance(error, BaseException) else KafkaException(error))


class Inbox:
    """The reports of one loop. ``owed``: those that librdkafka has not made yet."""

    __slots__ = ("_arrived", "_due", "loop", "owed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.owed: set[Report] = set()
        self._arrived: deque[tuple[Report, Any, Any]] = deque()
        self._due = False

    def put(self, report: Report, error: Any, message: Any) -> None:
        """A report has come, in any thread."""
        self.owed.discard(report)
        self._arrived.append((report, error, message))
        if not self._due:
            self._due = True
            try:
                self.loop.call_soon_threadsafe(self._empty)
            except RuntimeError:  # the loop is closed, and nobody awaits the futures
                pass

    def _empty(self) -> None:
        self._due = False  # first: what comes from now on wakes the loop again, though it may be settled here
        while self._arrived:
            report, error, message = self._arrived.popleft()
            report.settle(error, message)
