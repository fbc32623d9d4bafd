"""The bounded queue between the threads that end spans and the worker that exports them.

A span is appended without a lock while the queue is shorter than ``limit``; a lock a span would cost more than a tenth
of its cost. ``limit`` is the next length at which something must happen: first the length that wakes the worker, then,
while it works, what is left of the bound. So ``limit`` never exceeds the bound minus what is in flight, and that is the
whole proof that the bound holds.

An append has no lock, so it is not counted: the spans that ended are those that were taken, those that were dropped,
and those in the queue, read at one moment. Every other transition happens under the lock, so that
ended = exported + queued + in flight + dropped at every moment. The lock is reentrant, and the worker is woken through
a SimpleQueue, because a signal handler or the garbage collector may end a span inside any line of this file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from threading import TIMEOUT_MAX
from typing import Any, Final

from mqtrace import native
from mqtrace.core import Span, notice_fork

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
    """Spans that are in flight. ``position``: how many were taken before them."""

    __slots__ = ("position", "spans")

    def __init__(self, position: int, spans: list[Span]) -> None:
        self.position = position
        self.spans = spans


class Ticket:
    """Somebody waits until every span before position ``mark`` is complete."""

    def __init__(self, mark: int, deadline: float, *, last: bool) -> None:
        self.mark = mark
        #: A reading of time.monotonic.
        self.deadline = deadline
        #: Whether this is the shutdown.
        self.last = last
        #: Whether a span before ``mark`` did not arrive.
        self.lost = False
        self._done = native.allocate_lock()
        self._done.acquire()

    def release(self) -> None:
        """Let all who wait go on. May be called again."""
        try:
            self._done.release()
        except RuntimeError:
            pass  # it was released before

    def wait(self, seconds: float) -> bool:
        """Whether it was released in time."""
        # A bare lock, not an Event: an Event's own lock is not reentrant, and a signal handler may come here.
        released = native.wait(self._done, max(0.0, min(seconds, TIMEOUT_MAX)))
        if released:
            self.release()
        return released


class SpanQueue:
    """A sink (see mqtrace.core.pipeline) bounded in spans, those in flight included, and in bytes of heavy spans."""

    def __init__(
        self,
        size: int,
        size_bytes: int,
        batch: int,
        *,
        start_worker: Callable[[], bool] = lambda: True,
        concluded: Callable[[], bool] = lambda: False,
    ) -> None:
        self.size = size
        self._size_bytes = size_bytes
        #: Spans in a full batch.
        self.batch_size = max(1, min(batch, size))
        self._start_worker = start_worker
        self._concluded = concluded
        self.reset()

    def reset(self, *, is_closed: bool = False) -> None:
        """Make it empty, with every count at zero: at its beginning, and in a forked child."""
        self.is_closed = is_closed
        self.queue: deque[Span] = deque()
        #: 0 until the first span, so that this one comes to :meth:`overflow` and starts the worker.
        self.limit = 0
        self.lock = native.RLock()
        #: None wakes the worker, a Ticket asks it to hurry, a Worker (worker.py) was dropped with spans left to send.
        self.mailbox: native.SimpleQueue[Any] = native.SimpleQueue()
        self._is_awake = False
        #: How many spans wake the worker while it sleeps.
        self._wakes_at = self.batch_size
        self._weights: dict[Span, int] = {}
        self._weight = 0
        #: Bytes of payloads that the exporter holds for the spans in flight.
        self._held = 0
        self._outstanding: dict[int, Batch] = {}
        self.in_flight = 0
        #: How many spans the worker has taken: a position, as Ticket.mark is one.
        self.taken = 0
        self._exported = 0
        self._batches = 0
        self._bytes = 0
        self._dropped: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)

    # ------------------------------------------------------------------ for threads that end spans

    def overflow(self, span: Span) -> None:
        """Take a span that met the limit: wake the worker, or drop it and count."""
        notice_fork()
        with self.lock:
            if self.is_closed:
                self._drop("shutdown", span)
                return
            room = self.size - self.in_flight
            if len(self.queue) < room:
                self.queue.append(span)
            else:
                self._drop("queue_full", span)
            if self._is_awake or not self.queue:
                return
            self._wake()

    def _wake(self) -> None:
        self._is_awake = True
        self._set_limit()
        self.mailbox.put(None)
        if not self._start_worker():
            self._is_awake = False
            self._set_limit()

    def admit(self, span: Span, weight: int) -> None:
        """Take a span with ``weight`` bytes of its own, or drop it and count."""
        notice_fork()
        with self.lock:
            if weight > self._size_bytes:
                self._drop("too_large", span)
                return
            if self._weight + self._held + weight > self._size_bytes:
                self._drop("shutdown" if self.is_closed else "queue_full", span)
                return
            self._weights[span] = weight
            self._weight += weight
            if len(self.queue) < self.limit:
                self.queue.append(span)
            else:
                self.overflow(span)
            if not self._is_awake and self.weight_is_used():
                self._wake()

    def _drop(self, reason: str, span: Span) -> None:
        self._dropped[reason] += 1
        self._forget(span)

    def _forget(self, span: Span) -> None:
        if self._weights:
            self._weight -= self._weights.pop(span, 0)

    def _set_limit(self) -> None:
        room = self.size - self.in_flight
        if self.is_closed or room < 0:
            self.limit = 0
        else:
            # one below, so that the span that wakes the worker comes to overflow
            self.limit = room if self._is_awake else min(self._wakes_at - 1, room)

    # ------------------------------------------------------------------ for the worker

    def rest(self, wakes_at: int) -> bool:
        """Have ``wakes_at`` spans wake the worker, which is about to sleep. False: they are queued already, go on."""
        with self.lock:
            self._wakes_at = wakes_at
            self._is_awake = self._is_used_by(wakes_at)
            self._set_limit()
            return not self._is_awake

    def take(self) -> Batch | None:
        """Move a batch from the queue to those in flight. None if the queue is empty, or must wait for those."""
        with self.lock:
            queue = self.queue
            count = min(len(queue), self.batch_size)
            if not count or self._is_held_up():
                return None
            if self._weights:
                count = self._count_by_weight(count)
            self.in_flight += count
            self._set_limit()  # before the queue is shorter: the bound holds for threads that append meanwhile
            batch = Batch(self.taken, [queue.popleft() for _ in range(count)])
            self.taken += count
            self._outstanding[batch.position] = batch
            return batch

    def _count_by_weight(self, count: int) -> int:
        """How many of the first spans weigh an eighth of the bound together at most, or one.

        The payload of a batch is held twice: with it and what :meth:`_is_held_up` lets pass, the bound and a half.
        """
        weights, most, weight = self._weights, self._size_bytes // 8, 0
        for number in range(count):  # not an iterator, which an append meanwhile makes fail
            weight += weights.get(self.queue[number], 0)
            if weight > most:
                return max(1, number)
        return count

    def complete(self, batch: Batch, exported: int, size: int, lost: Mapping[str, int]) -> bool:
        """Count how a batch ended. False: a shutdown that did not wait for it has counted it before."""
        with self.lock:
            if self._outstanding.get(batch.position) is not batch:
                return False
            del self._outstanding[batch.position]
            count = len(batch.spans)
            self.in_flight -= count
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

    def close(self) -> None:
        """Take no more spans: one that ends from here on is dropped, counted as ``shutdown``."""
        self.is_closed = True
        self._set_limit()

    @property
    def end(self) -> int:
        """The position behind every span that is queued now."""
        return self.taken + len(self.queue)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is queued and nothing in flight."""
        return not (self.queue or self._outstanding)

    @property
    def awaits_reports(self) -> bool:
        """Whether something is in flight."""
        return bool(self._outstanding)

    def dropped(self, reason: str) -> int:
        """How many spans were dropped for this reason."""
        return self._dropped[reason]

    def for_the_parent(self) -> object:
        """The objects that a forked child inherited and must keep as they are."""
        return self.queue, self._outstanding, self._weights

    def completed_up_to(self) -> int:
        """The position before which every span has left or is lost."""
        with self.lock:
            return next(iter(self._outstanding), self.taken)

    def room_is_used(self) -> bool:
        """Whether a batch is full, or as full as what is in flight leaves room for."""
        return self._is_used_by(self.batch_size)

    def _is_used_by(self, count: int) -> bool:
        queued = len(self.queue)
        if not queued or self._is_held_up():
            return False
        return queued >= min(count, self.size - self.in_flight) or self.weight_is_used()

    def hold(self, held: int) -> None:
        """Note how many bytes of payloads the exporter holds for the spans in flight."""
        self._held = held

    def _is_held_up(self) -> bool:
        """Whether spans in flight must leave before more are taken: their payloads' bytes come on top of their own."""
        return self.in_flight > 0 and self._weight + self._held > self._size_bytes * 5 // 4

    def is_crowded(self) -> bool:
        """Whether the queue is longer than three quarters of the bound."""
        return len(self.queue) > self.size * 3 // 4

    def weight_is_used(self) -> bool:
        """Whether half of the bytes are taken."""
        return self._weight > self._size_bytes // 2

    def abandon(self) -> bool:
        """Count every span that has not left as ``shutdown``. Returns whether there was any."""
        with self.lock:
            count = self.in_flight
            while self.queue:
                self.queue.popleft()
                self.taken += 1
                count += 1
            self._dropped["shutdown"] += count
            self.in_flight = 0
            self._outstanding.clear()
            self._weights.clear()
            self._weight = 0
            self._set_limit()
            return count > 0

    # ------------------------------------------------------------------ for anyone

    def stats(self) -> dict[str, Any]:
        """The counts at one moment: ended = exported + queued + in flight + dropped."""
        notice_fork()
        with self.lock:
            if self.is_closed and self._concluded():
                self.abandon()  # a thread that read the limit just before the end appended after it
            queued = len(self.queue)
            ended = self._exported + queued + self.in_flight + sum(self._dropped.values())
            counts = (ended, self._exported, queued, self.in_flight, self._batches, self._bytes)
            return {**dict(zip(COUNTS, counts, strict=True)), "spans_dropped": dict(self._dropped)}
