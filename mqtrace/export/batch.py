"""The batch processor: a bounded queue, and the worker's thread that empties it.

It is the one of OpenTelemetry's Trace SDK specification, "Batching processor", with two differences on purpose: the
delay counts from the oldest span, so that a slow trickle is not held back, and spans in flight count against the bound,
so that a dead broker cannot use up the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mqtrace import native
from mqtrace.core import Clock, Counters, notice_fork

from . import lifecycle
from .protocol import Exporter, PipelinedExporter
from .queue import COUNTS, DROP_REASONS, SpanQueue, Ticket
from .worker import Thread, Worker

__all__ = ["COUNTS", "DROP_REASONS", "BatchProcessor", "BatchSettings"]


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """How spans are gathered and sent."""

    #: Spans queued and in flight (OTEL_BSP_MAX_QUEUE_SIZE). Not OpenTelemetry's 2048: at 20,000 spans a second that is
    #: 0.1 s, less than one slow answer of a broker; these are a second, and some 10 MB where all are held.
    max_queue_size: int = 20_480
    #: Spans a batch (OTEL_BSP_MAX_EXPORT_BATCH_SIZE): a full one leaves at once, or within 0.1 s where they
    #: fill faster than that.
    max_batch_size: int = 100
    #: Seconds that the oldest span waits at most (OTEL_BSP_SCHEDULE_DELAY, in ms).
    schedule_delay: float = 5.0
    #: Seconds after which a batch that was not confirmed is lost (OTEL_BSP_EXPORT_TIMEOUT, in ms).
    export_timeout: float = 30.0
    #: The most seconds that the end of the process waits for spans (MQTRACE_EXIT_TIMEOUT, in ms).
    exit_timeout: float = 2.0
    #: Whether spans are sent before a SIGTERM that nobody else handles ends the process (MQTRACE_SIGTERM).
    sigterm: bool = True
    #: Bytes of spans with long attributes or events, queued and in flight (MQTRACE_MAX_QUEUE_BYTES).
    max_queue_bytes: int = 64 << 20


class BatchProcessor:
    """Takes a tracer's finished spans into its ``sink``, and exports them in batches from a thread of its own.

    The thread starts with the first span, and nobody waits for it at the end. A forked child has an empty queue and a
    thread of its own; a child that ends with ``os._exit`` loses what it has not flushed. A processor that is dropped
    still sends what is queued. The thread calls ``upkeep`` every few seconds; it must not hold a reference to the
    processor. ``counters`` are the tracer's; ``clock`` is the one that its spans are timed by.
    """

    def __init__(
        self,
        exporter: Exporter | PipelinedExporter,
        *,
        clock: Clock,
        counters: Counters | None = None,
        settings: BatchSettings | None = None,
        upkeep: Callable[[], object] | None = None,
    ) -> None:
        self.settings = settings or BatchSettings()
        self.exporter = exporter
        self.counters = counters
        self._clock = clock
        self._upkeep = upkeep
        #: Where spans end.
        self.sink = SpanQueue(
            max(1, self.settings.max_queue_size),
            self.settings.max_queue_bytes,
            self.settings.max_batch_size,
            start_worker=self._ensure_worker,
            concluded=lambda: self._result is not None,
        )
        self._begin()
        has_timeout: Any = exporter
        if hasattr(has_timeout, "export_timeout"):
            has_timeout.export_timeout = self.settings.export_timeout
        lifecycle.adopt(self)

    def _begin(self) -> None:
        self._thread: Thread | None = None
        self._step_lock = native.allocate_lock()
        self._last: Ticket | None = None
        self._result: bool | None = None
        self._worker = Worker(
            self.sink,
            self.exporter,
            conclude=self.conclude,
            clock=self._clock,
            delay=self.settings.schedule_delay,
            upkeep=self._upkeep,
        )

    def start(self) -> None:
        """Start the worker before the first span: for ``upkeep``, where no span may ever end without it."""
        notice_fork()
        if not self.sink.is_closed:
            self._ensure_worker()

    def _ensure_worker(self) -> bool:
        with self.sink.lock:
            thread = self._thread
            if (thread is not None and thread.is_alive) or self._worker.stopped:
                return True
            if lifecycle.is_uwsgis_master():
                return False
            thread = Thread(self._worker)
            self._thread = thread  # before it starts: an interrupt in between must not make a second one
            try:
                thread.start()
            except RuntimeError:
                self._thread = None
                return False  # no more threads, or the interpreter ends: flush and shutdown do the work themselves
            if getattr(self.exporter, "ends_at_exit", False):
                lifecycle.exit_early()
            return True

    def flush(self, timeout: float = 5.0) -> bool:
        """Send what is queued. ``timeout`` in seconds; True: all of it arrived in time.

        Spans that end meanwhile are not waited for. Returns False at once if an exporter calls it.
        """
        notice_fork()
        with self.sink.lock:
            ticket = self._last
            if ticket is None:
                if self.sink.is_empty:
                    return True
                ticket = Ticket(self.sink.end, time.monotonic() + timeout, last=False)
                self.sink.mailbox.put(ticket)
        return self._wait(ticket, timeout) and not ticket.lost

    def retire(self, timeout: float = 5.0) -> None:
        """Have the worker send what is queued and stop, within ``timeout`` seconds; wait for nothing."""
        notice_fork()
        if self._close(timeout) is not None:
            self._ensure_worker()

    def shutdown(self, timeout: float = 5.0) -> bool:
        """Send what is queued, and stop. ``timeout`` in seconds; True: all of it arrived in time.

        Afterwards nothing is queued and nothing in flight: what did not leave is counted as dropped by the shutdown,
        and so is every span that ends later. A second call returns the result of the first.
        """
        notice_fork()
        ticket = self._close(timeout)
        if ticket is None:
            lifecycle.retired()
            return bool(self._result)
        arrived = False
        try:
            arrived = self._wait(ticket, timeout) and not ticket.lost
        finally:
            # Also where the wait was interrupted: nobody will wait for these spans again.
            result = self.conclude(arrived=arrived)
            self.sink.mailbox.put(None)
            lifecycle.retired()
        return result

    def is_open(self) -> bool:
        """Whether it takes spans."""
        return not self.sink.is_closed

    def _close(self, timeout: float) -> Ticket | None:
        """Take no more spans, and ask the worker to end. None: it has ended already."""
        with self.sink.lock:
            if self._result is not None:
                return None
            if self._last is None:
                self.sink.close()
                self._last = Ticket(self.sink.end, time.monotonic() + timeout, last=True)
                self.sink.mailbox.put(self._last)
            ticket = self._last
        try:
            # the worker may be within a request to a receiver that does not answer
            getattr(self.exporter, "hurry", _nothing)(ticket.deadline)
        except Exception:  # noqa: BLE001, S110  # a user's exporter may raise anything: then it is not hurried
            pass
        return ticket

    def conclude(self, *, arrived: bool) -> bool:
        """Count what has not left as ``shutdown``. Returns whether everything left, as found by the first call."""
        with self.sink.lock:
            arrived = not self.sink.abandon() and arrived
            if self._result is None:
                self._result = arrived
            self._worker.stopped = True
            if self._last is not None:
                self._last.lost = self._last.lost or not self._result
                self._last.release()
            return self._result

    def _wait(self, ticket: Ticket, timeout: float) -> bool:
        """Whether the worker answered in time."""
        if self._thread is not None and self._thread.is_current():
            return False  # the exporter asks: the worker cannot wait for itself
        if self._ensure_worker():
            return ticket.wait(timeout)
        # There can be no thread: this one does the work.
        while not ticket.wait(0.0) and time.monotonic() < ticket.deadline:
            with self._step_lock:
                self._worker.step(0.02)
        return ticket.wait(0.0)

    def __del__(self) -> None:
        """The processor was dropped: the worker sends what is left, and ends."""
        try:
            if self._thread is None or not self._thread.is_alive:
                return
            if not self.sink.is_empty:
                lifecycle.processors.add(self)
                self._close(self.settings.export_timeout)
                self.sink.mailbox.put(self._worker)
            else:
                self.sink.mailbox.put(None)
        except Exception:  # noqa: BLE001, S110  # the interpreter ends, or the beginning had failed
            pass

    def stats(self) -> dict[str, Any]:
        """See :meth:`SpanQueue.stats`."""
        return self.sink.stats()

    def after_fork(self) -> None:
        """In a forked child: the parent's spans, thread, lock and connections are the parent's."""
        lifecycle.leave_to_the_parent(self.sink.for_the_parent())
        is_closed = self.sink.is_closed
        try:
            renew = getattr(self.exporter, "after_fork", None)
            if callable(renew):
                renew()
        except Exception:  # noqa: BLE001  # a user's exporter may raise anything, and the child must begin
            is_closed = True
        self.sink.reset(is_closed=is_closed)
        self._begin()
        if is_closed:
            self._result = False
            self._worker.stopped = True


def _nothing(deadline: float) -> None:
    """Stands for ``hurry`` of an exporter that has none."""
