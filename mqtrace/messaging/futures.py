"""Send spans that end when a future is done, which an asynchronous client returns for the broker's report.

The span is the future's callback, as it is librdkafka's. It is called before a coroutine that awaits the future goes
on, and also for a future that nobody awaits.
"""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from collections.abc import Awaitable
from typing import Any

from mqtrace.core import SendBatchSpan, SendSpan

from .pending import Pending
from .run import end

__all__ = ["FutureBatchSpan", "FutureSpan", "abandon_soon", "end_with", "until_done"]


class FutureSpan(SendSpan):
    """The span of a message whose report is a future. ``pending``: where it waits, kept alive as long as it waits."""

    __slots__ = ("pending",)

    pending: Pending | None

    def __call__(self, future: Any) -> None:
        """The future is done."""
        self.pending = None
        if getattr(future, "_exception", self) is not None or future.cancelled():
            error = _error_of(future)
            if error is not None:
                end(self, error)
                return
        try:
            partition, offset = self.place(future.result())
        except Exception:  # noqa: BLE001  # a report of another kind: the message is delivered all the same
            partition = offset = -1
        self.delivered(partition, offset)

    def place(self, report: Any) -> tuple[int, int]:
        """The partition and the offset of the message. ``report``: the result of the future."""
        raise NotImplementedError


class FutureBatchSpan(SendBatchSpan):
    """The span of a batch whose report is a future. ``pending``: as of a :class:`FutureSpan`."""

    __slots__ = ("pending",)

    pending: Pending | None

    def __call__(self, future: Any) -> None:
        """The future is done."""
        self.pending = None
        end(self, _error_of(future))


def _error_of(future: Any) -> BaseException | None:
    """The error of a future that is done; None if it has a result.

    It is read without ``exception()``, which would mark it as retrieved: asyncio warns an application that never
    retrieves it, with and without us.
    """
    if future.cancelled():
        return CancelledError()
    if hasattr(future, "_exception"):
        error: BaseException | None = future._exception  # noqa: SLF001  # see above
    else:
        error = future.exception()
    return error


def end_with(future: Any, span: FutureSpan | FutureBatchSpan, pending: Pending) -> None:
    """Have a span end with this future; end it now if it is not a future."""
    done = getattr(future, "add_done_callback", None)
    if done is None:
        end(span, None)
    else:
        span.pending = pending
        done(span)


async def until_done(call: Awaitable[Any], span: FutureSpan | FutureBatchSpan, pending: Pending) -> Any:
    """Await a send, and have its span end with the future that it returns, or with what it raises."""
    pending.hold(span)
    try:
        future = await call
    except BaseException as error:
        end(span, error)
        raise
    end_with(future, span, pending)
    return future


def abandon_soon(pending: Pending, why: str) -> None:
    """Abandon the spans of a client that has stopped, once the loop has run the callbacks that are due."""
    try:
        get_running_loop().call_soon(pending.abandon, why)
    except RuntimeError:  # there is no loop: the coroutine was dropped
        pending.abandon(why)
