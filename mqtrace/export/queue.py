"""The bounded queue between the threads that end spans and the worker that exports them.

A span is appended without a lock while the queue is shorter than ``limit``; a lock a span would cost more than a tenth
of it. ``limit`` is the next length at which something must happen: first the one that wakes the worker, then, while it
works, what is left of the bound. So ``limit`` never exceeds the bound minus what is in flight, and that is the whole
proof that the bound holds.

What has no lock is not counted either: spans that ended are those that were taken, those that were dropped, and those
that stand in the queue, read at one moment. Every other transition happens under the lock, so that
ended = exported + queued + in flight + dropped at every moment. The lock is reentrant, and the worker is woken through
a SimpleQueue, because a signal handler or the garbage collector may end a span inside any line of this file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, Final

from mqtrace.core import Span, native, notice_fork

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["COUNTS", "DROP_REASONS", "Batch", "SpanQueue"]

#: Why a span did not arrive.
DROP_REASONS: Final = ("queue_full", "too_large", "encode_failed", "rejected", "export_failed", "shutdown")
#: The numbers of ``stats()``; ``spans_dropped``, a dict by reason, is beside them.
COUNTS: Final = (
    "spans_ended",
    "spans_exported",
    "spans_queued",
    "spans_in_flight",
    "batches_exported",
    "bytes_exported",
)


class Batch:
    """Spans on their way. ``position``: how many were taken before them."""

    __slots__ = ("position", "spans")

    def __init__(self, position: int, spans: list[Span]) -> None:
        self.position = position
        self.spans = spans


class Ticket:
    """Somebody waits until everything before ``mark`` is settled."""

    def __init__(self, mark: int, deadline: float, *, last: bool) -> None:
        self.mark = mark
        #: A reading of time.monotonic.
        self.deadline = deadline
        #: Whether this is the shutdown.
        self.last = last
        self.lost = False
        self._done = native.allocate_lock()
        self._done.acquire()

    def release(self) -> None:
        """Let all who wait go on; also twice."""
        try:
            self._done.release()
        except RuntimeError:
            pass  # it is open already

    def wait(self, seconds: float) -> bool:
        """Whether it was released in time."""
        # A bare lock, not an Event: an Event's own lock is not reentrant, and a signal handler may come here.
        released = native.wait(self._done, max(0.0, min(seconds, TIMEOUT_MAX)))
        if released:
            self.release()
        return released


class SpanQueue:
    """A sink (see mqtrace.core.pipeline) bounded in spans, those in flight included, and in bytes of heavy spans."""

    def __init__(self, size: int, size_bytes: int, batch: int, *, eager: bool = False) -> None:
        self._size = size
        self._size_bytes = size_bytes
        self._batch = max(1, min(batch, size))
        #: Whether the first span wakes the worker: it may not wait until somebody looks.
        self._eager = eager
        self._closed = False
        self._reset()

    def _reset(self) -> None:
        """Empty, with every count at zero: the beginning, and a forked child."""
        self.queue: deque[Span] = deque()
        #: 0 until the first span, which so comes to :meth:`overflow` and starts the worker.
        self.limit = 0
        self._lock = native.RLock()
        #: None wakes the worker; a Ticket asks it to hurry; a Worker is what nobody else has any more.
        self._mailbox: native.SimpleQueue[Ticket | Worker | None] = native.SimpleQueue()
        self._woken = False
        #: How many spans wake the worker.
        self._enough = self._batch
        self._weights: dict[Span, int] = {}
        self._weight = 0
        #: Bytes that the exporter holds of what is in flight.
        self._held = 0
        self._outstanding: dict[int, Batch] = {}
        self._in_flight = 0
        self._taken = 0
        self._exported = 0
        self._batches = 0
        self._bytes = 0
        self._dropped: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)

    # ------------------------------------------------------------------ the side that ends spans

    def overflow(self, span: Span) -> None:
        """Take a span that met the limit: wake the worker, or drop it and count."""
        notice_fork()
        with self._lock:
            if self._closed:
                self._drop("shutdown", span)
                return
            room = self._size - self._in_flight
            if len(self.queue) < room:
                self.queue.append(span)
            else:
                self._drop("queue_full", span)
            if self._woken or not self.queue:
                return
            self._wake()

    def _wake(self) -> None:
        self._woken = True
        self._set_limit()
        self._mailbox.put(None)
        if not self._ensure_worker():
            self._woken = False
            self._set_limit()

    def admit(self, span: Span, weight: int) -> None:
        """Take a span with ``weight`` bytes of its own, or drop it and count."""
        notice_fork()
        with self._lock:
            if weight > self._size_bytes:
                self._drop("too_large", span)
                return
            if self._weight + self._held + weight > self._size_bytes:
                self._drop("shutdown" if self._closed else "queue_full", span)
                return
            self._weights[span] = weight
            self._weight += weight
            if len(self.queue) < self.limit:
                self.queue.append(span)
            else:
                self.overflow(span)
            if not self._woken and self._weight_is_used():
                self._wake()

    def conclude(self, *, arrived: bool) -> bool:
        """The worker has ended, and its exporter: what has not left is lost to the shutdown."""
        return not self._abandon() and arrived

    def _ensure_worker(self) -> bool:
        """Start the worker if there is none. False: it cannot be started now."""
        return True

    def _drop(self, reason: str, span: Span) -> None:
        self._dropped[reason] += 1
        self._forget(span)

    def _forget(self, span: Span) -> None:
        if self._weights:
            self._weight -= self._weights.pop(span, 0)

    def _set_limit(self) -> None:
        room = self._size - self._in_flight
        if self._closed or room < 0 or (self._eager and not self.queue and not self._woken):
            self.limit = 0
        else:
            # one below, so that the span that makes it enough comes to overflow
            self.limit = room if self._woken else min(self._enough - 1, room)

    # ------------------------------------------------------------------ the worker's side

    def rest(self, *, alert: bool = True) -> bool:
        """From here on the worker may sleep: a full batch wakes it. False: there is one already, do not sleep.

        Not ``alert``: it comes back soon by itself, and what wakes it before is a quarter of the bound.
        """
        with self._lock:
            self._enough = self._batch if alert else max(self._batch, self._size // 4)
            self._woken = self._is_used_by(self._enough)
            self._set_limit()
            return not self._woken

    def take(self) -> Batch | None:
        """A batch from the queue to the ones in flight; None from an empty queue."""
        with self._lock:
            queue = self.queue
            count = min(len(queue), self._batch)
            if not count or self._is_held_up():
                return None
            self._in_flight += count
            self._set_limit()  # before the queue is shorter: the bound holds for those who append meanwhile
            batch = Batch(self._taken, [queue.popleft() for _ in range(count)])
            self._taken += count
            self._outstanding[batch.position] = batch
            return batch

    def settle(self, batch: Batch, exported: int, size: int, lost: Mapping[str, int]) -> bool:
        """Count how a batch ended. False: it was counted before, by the shutdown that did not wait for it."""
        with self._lock:
            if self._outstanding.get(batch.position) is not batch:
                return False
            del self._outstanding[batch.position]
            count = len(batch.spans)
            self._in_flight -= count
            for span in batch.spans if self._weights else ():
                self._forget(span)
            exported = max(0, min(exported, count))
            missing = count - exported
            for reason, number in lost.items():
                number = max(0, min(number, missing))
                missing -= number
                self._dropped[reason if reason in self._dropped else "export_failed"] += number
            self._dropped["export_failed"] += missing
            self._exported += exported
            self._batches += exported > 0
            self._bytes += size
            self._set_limit()
            return True

    def settled_up_to(self) -> int:
        """Every span taken before this position has left or is lost."""
        with self._lock:
            return next(iter(self._outstanding), self._taken)

    def room_is_used(self) -> bool:
        """Whether a batch is full, or as full as what is in flight leaves room for."""
        return self._is_used_by(self._batch)

    def _is_used_by(self, count: int) -> bool:
        queued = len(self.queue)
        if not queued or self._is_held_up():
            return False
        return queued >= min(count, self._size - self._in_flight) or self._weight_is_used()

    def hold(self, held: int) -> None:
        """The exporter holds so many bytes of what is in flight, beside the spans themselves."""
        self._held = held

    def _is_held_up(self) -> bool:
        """Whether what is in flight has to leave before more may: the bytes of payloads come on top of the spans'."""
        return self._in_flight > 0 and self._weight + self._held > self._size_bytes * 5 // 4

    def is_crowded(self) -> bool:
        """Whether three quarters of the room are taken."""
        return len(self.queue) > self._size * 3 // 4

    def _weight_is_used(self) -> bool:
        return self._weight > self._size_bytes // 2

    def _abandon(self) -> bool:
        """Count everything that has not left as lost to the shutdown. Whether there was anything."""
        with self._lock:
            count = self._in_flight
            while self.queue:
                self.queue.popleft()
                self._taken += 1
                count += 1
            self._dropped["shutdown"] += count
            self._in_flight = 0
            self._outstanding.clear()
            self._weights.clear()
            self._weight = 0
            self._set_limit()
            return count > 0

    # ------------------------------------------------------------------ anyone

    def stats(self) -> dict[str, Any]:
        """One moment's counts: ended = exported + queued + in flight + dropped."""
        notice_fork()
        with self._lock:
            if self._closed and self._stopped():
                self._abandon()  # a thread that read the limit just before the end appended after it
            queued = len(self.queue)
            ended = self._exported + queued + self._in_flight + sum(self._dropped.values())
            counts = (ended, self._exported, queued, self._in_flight, self._batches, self._bytes)
            return {**dict(zip(COUNTS, counts, strict=True)), "spans_dropped": dict(self._dropped)}

    def _stopped(self) -> bool:
        """Whether the shutdown is over."""
        return self._closed
