"""Send spans that end when a future does: what an asynchronous client returns for the report of the broker.

The span is the future's callback, as it is librdkafka's. It is called before whoever awaits the future goes on, and for
a future that nobody awaits as well.
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
    """The span of a message whose report is a future. ``pending``: what it waits in, kept as long as it waits."""

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
        """The partition and the offset of the message. ``report``: the future's result."""
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
    """What a future ended with.

    It is read past ``exception()``, which would count as its retrieval: an application that never retrieves it hears so
    from asyncio, with and without us.
    """
    if future.cancelled():
        return CancelledError()
    if hasattr(future, "_exception"):
        error: BaseException | None = future._exception  # noqa: SLF001  # see above
    else:
        error = future.exception()
    return error


def end_with(future: Any, span: FutureSpan | FutureBatchSpan, pending: Pending) -> None:
    """Have a span that waits end with this future; now, where it is none."""
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
    """The client has stopped: once the loop has run the callbacks that are due, what still waits has no report."""
    try:
        get_running_loop().call_soon(pending.abandon, why)
    except RuntimeError:  # there is no loop: a coroutine that is dropped
        pending.abandon(why)
