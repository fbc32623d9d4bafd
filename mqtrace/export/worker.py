"""The worker: takes spans from the queue, hands them to the exporter, and sleeps until there is a reason to wake.

How long a batch waits, by the state of the worker. The first row that holds counts:

| state | it holds when | what the worker does | it sleeps at most | what wakes it before |
|---|---|---|---|---|
| backlog | a turn ended before the queue was empty | ships for 0.4 ms | 1.6 ms, four times as long | nothing |
| crowded | the same, and 3/4 of the queue are in use | ships for 1.5 ms | not at all, it only yields | |
| awaited | somebody flushes or shuts down | ships all, polls for reports | 20 ms, their deadline | a full batch |
| streaming | the last batch was full within 0.1 s | ships full batches | 0.1 s | a quarter of the bound |
| in flight | the exporter owes reports | polls for reports | 0.1 s | a full batch |
| gathering | spans are queued | ships all once the OLDEST is due | until it is due | a full batch, half the bytes |
| idle | nothing is queued | | the delay, 0.1 s at least | a full batch; a delay below 0.1 s: a span |

The age is that of the oldest span, so that a slow trickle leaves too. While batches fill fast nobody wakes the worker:
a thread that wants the interpreter costs the one that has it.

With a backlog the worker works a fifth of the time. In one go it would hold the interpreter for milliseconds. Without a
rest the application would get only a fifth of the time if it yields the interpreter often, as a loop of delivery
reports does. A rest after every batch would cost both sides half a batch, to hand the interpreter over and back. The
worker does not rest if it has to wait for the interpreter anyway, or if somebody waits for the worker.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from mqtrace import native
from mqtrace.core import SUPPRESSED, Clock, Span, attach, forget_ids, prepare_repair

from .limited_log import LimitedLog
from .protocol import Exported, PipelinedExporter
from .queue import Batch, SpanQueue, Ticket

__all__ = ["Thread", "Worker"]

log = logging.getLogger("mqtrace.export")

# See the table: seconds, but for _STREAMING_NS.
_IDLE_S: Final = 0.1
_REPORTS_S: Final = 0.1
_AWAITED_REPORTS_S: Final = 0.02
_STREAMING_NS: Final = round(_REPORTS_S * 1e9)
# How often the user's clients are searched for spans whose report nobody fetched.
_UPKEEP_S: Final = 5.0
# After so long, some batches, the worker yields: it may keep the application from running for this time at most.
_HOLD_S: Final = 0.0004
# How long it rests then.
_REST_S: Final = 0.0016
# How long it works while the queue is crowded: a longer pause of the application is less bad than dropped spans, and
# once it yields it may get the interpreter again only after a switch interval of 5 ms.
_HOLD_CROWDED_S: Final = 0.0015


class Worker:
    """The worker of one processor. :meth:`turn` does what is due and returns how long to sleep; a thread calls it."""

    def __init__(
        self,
        spans: SpanQueue,
        exporter: Any,
        *,
        conclude: Callable[..., object],
        clock: Clock,
        delay: float,
        upkeep: Callable[[], object] | None = None,
    ) -> None:
        self._spans = spans
        #: Where the thread that runs this reads who waits.
        self.mailbox = spans.mailbox
        self._conclude = conclude
        self._exporter = exporter
        self._name = type(exporter).__name__
        self._pipelined = isinstance(exporter, PipelinedExporter)
        self._clock = clock
        self._delay = round(delay * 1e9)
        self._upkeep = upkeep
        self._upkeep_at = time.monotonic() + _UPKEEP_S
        self._tickets: list[Ticket] = []
        self._front: Span | None = None
        self._front_seen = 0
        self._is_streaming = False
        #: Whether any span was queued in the last turn.
        self._had_spans = False
        #: Whether the interpreter came back late when the worker yielded the last time.
        self._has_waited = False
        self._log = LimitedLog(log)
        self._dropped = 0
        self.release: Final = Release(exporter)
        self.stopped = False

    def step(self, longest: float = 3600.0) -> None:
        """One turn, and the sleep after it: no longer than ``longest`` seconds."""
        pause = self.advance(longest)
        if not self.stopped:
            for mail in read(self.mailbox, pause):
                self.receive(mail)

    def advance(self, longest: float = 3600.0) -> float:
        """One turn, and a poll for the reports that somebody waits for. Returns how long to read the mail, seconds."""
        pause = min(self.turn(), longest)
        if not self.stopped and self._spans.awaits_reports and self._tickets:
            self._poll(min(pause, _AWAITED_REPORTS_S))
            return 0.0
        return pause

    def receive(self, mail: Ticket | Worker | None) -> None:
        """Take a ticket of somebody who waits; any other mail only wakes the worker."""
        if isinstance(mail, Ticket):
            self._tickets.append(mail)

    def is_idle(self) -> bool:
        """Whether nothing is left to do, unless more spans end."""
        return self._spans.is_empty and not self._tickets

    def turn(self) -> float:
        """Do what is due. Returns the seconds until the next turn, if nobody wakes the worker before."""
        self._clock.refresh()
        self._poll(0.0)
        has_more = self._ship()
        self._keep_up()
        self._report_drops()
        self._answer()
        if has_more and not self.stopped:
            self._yield_interpreter()
            return 0.0
        if self.stopped or not self._spans.rest(self._wakes_at()):
            return 0.0
        pause = self._until_due(self._clock.now()) / 1e9
        if not self._had_spans:
            forget_ids()  # none is in use now, and a child that is forked in C would have the same ones
        if self._upkeep is not None:
            pause = min(pause, _UPKEEP_S)
        if self._spans.awaits_reports or self._is_streaming:
            pause = min(pause, _REPORTS_S)
        for ticket in self._tickets:
            pause = min(pause, ticket.deadline - time.monotonic())
        return max(0.0, pause)

    # ------------------------------------------------------------------ when

    def _wakes_at(self) -> int:
        """How many spans wake a worker that sleeps."""
        spans = self._spans
        if self._is_streaming:
            return max(spans.batch_size, spans.size // 4)
        if self._delay < _IDLE_S * 1e9 and not spans.queue:
            return 1  # it is due before the worker would look
        return spans.batch_size

    def _yield_interpreter(self) -> None:
        """Yield the interpreter to other threads."""
        rest = 0.0 if self._has_waited or self._tickets or self._spans.is_crowded() else _REST_S
        began = time.monotonic()
        native.sleep(rest)
        # A thread that never lets go of the interpreter has it for a switch interval, 5 ms, each time.
        self._has_waited = time.monotonic() - began - rest > _REST_S

    def _until_due(self, now: int) -> int:
        """Nanoseconds until the oldest span has waited long enough; the whole delay where there is none."""
        try:
            front = self._spans.queue[0]
        except IndexError:
            self._front = None
            return max(self._delay, round(_IDLE_S * 1e9))
        if front is not self._front:
            self._front = front
            self._front_seen = now
        # A user may end a span in the future; then its age counts from when it was first seen here.
        since = min(front.ended, self._front_seen)
        return max(0, since + self._delay - now)

    # ------------------------------------------------------------------ what

    def _ship(self) -> bool:
        """Ship full batches; all that is queued now, once the oldest is due or somebody waits. True: there is more."""
        spans = self._spans
        self._is_streaming = False
        self._had_spans = bool(spans.queue)
        due = 0
        if self._until_due(self._clock.now()) <= 0 or spans.weight_is_used():
            due = spans.end
        mark = max([due, *(ticket.mark for ticket in self._tickets)])
        ends_s = time.monotonic() + (_HOLD_CROWDED_S if spans.is_crowded() else _HOLD_S)
        while True:
            if self.stopped or not (spans.room_is_used() or spans.taken < mark):
                return False
            batch = spans.take()
            if batch is None:
                return False
            batch_spans = batch.spans
            self._is_streaming = (
                len(batch_spans) == spans.batch_size and batch_spans[-1].ended - batch_spans[0].ended < _STREAMING_NS
            )
            self._export(batch)
            if time.monotonic() >= ends_s:
                return True

    def _export(self, batch: Batch) -> None:
        self._hand_over(batch)
        self._note_held()

    def _hand_over(self, batch: Batch) -> None:
        try:
            if self._pipelined:
                self._exporter.submit(
                    batch.spans, lambda exported, size, lost: self._complete(batch, exported, size, lost)
                )
                return
            result = self._exporter.export(batch.spans)
        except BaseException as error:  # noqa: BLE001  # an exporter may raise anything, SystemExit too
            self._complete(batch, 0, 0, {"export_failed": len(batch.spans)})
            self._log.warning("export", f"{self._name} could not export: spans are lost", error)
        else:
            if type(result) is Exported:
                self._complete(batch, *result)
            else:
                self._complete(batch, len(batch.spans), result if type(result) is int and result > 0 else 0, {})

    def _complete(self, batch: Batch, exported: int, size: int, lost: Mapping[str, int]) -> None:
        if self._spans.complete(batch, exported, size, lost) and exported < len(batch.spans):
            for ticket in self._tickets:
                if batch.position < ticket.mark:
                    ticket.lost = True

    def _poll(self, timeout: float) -> None:
        if not self._pipelined:
            return
        try:
            self._exporter.poll(timeout)
        except BaseException as error:  # noqa: BLE001  # as above
            self._log.warning("poll", f"{self._name} could not ask for its reports", error)
            native.sleep(timeout)
        self._note_held()

    def _note_held(self) -> None:
        held = getattr(self._exporter, "held_bytes", 0) if self._pipelined else 0
        self._spans.hold(held if type(held) is int else 0)

    def _answer(self) -> None:
        """Release those whose spans have left by now."""
        if not self._tickets:
            return
        completed = self._spans.completed_up_to()
        now = time.monotonic()
        waiting = []
        for ticket in self._tickets:
            if completed < ticket.mark and now < ticket.deadline:
                waiting.append(ticket)
                continue
            if completed < ticket.mark or not (ticket.last or self._flush(ticket.deadline - now)):
                ticket.lost = True
            if ticket.last and not self.stopped:
                self.stopped = True
                ticket.lost = not self.release(max(0.0, ticket.deadline - now)) or ticket.lost
                self._conclude(arrived=not ticket.lost)
            ticket.release()
        self._tickets = waiting
        if self.stopped:
            for ticket in waiting:
                ticket.lost = True
                ticket.release()

    def _flush(self, timeout: float) -> bool:
        """Have an exporter that hands spans on send them. Returns whether it did."""
        flush = getattr(self._exporter, "flush", None)
        if flush is None:
            return True
        try:
            return flush(max(0.0, timeout)) is not False
        except BaseException as error:  # noqa: BLE001  # as above
            self._log.warning("flush", f"{self._name} could not flush", error)
            return False

    # ------------------------------------------------------------------ beside

    def _keep_up(self) -> None:
        if self._upkeep is None or time.monotonic() < self._upkeep_at:
            return
        self._upkeep_at = time.monotonic() + _UPKEEP_S
        try:
            self._upkeep()
        except BaseException as error:  # noqa: BLE001  # the user's client is asked
            self._log.warning("upkeep", "upkeep of spans that wait for a report failed", error)

    def _report_drops(self) -> None:
        dropped = self._spans.dropped("queue_full")
        if dropped > self._dropped:
            self._dropped = dropped
            self._log.warning("full", f"the queue of spans is full: {dropped} were dropped so far, see stats()")


def read(mailbox: native.SimpleQueue[Ticket | Worker | None], timeout: float) -> list[Ticket | Worker | None]:
    """The mails in the mailbox, after waiting up to ``timeout`` seconds for the first."""
    mails: list[Ticket | Worker | None] = []
    try:
        mails.append(mailbox.get(timeout > 0, timeout or None))
        while True:
            mails.append(mailbox.get_nowait())
    except native.Empty:
        return mails


class Release:
    """Shuts an exporter down, once."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._is_over = False

    def __call__(self, timeout: float) -> bool:
        """Shut it down within ``timeout`` seconds. Returns whether everything left."""
        if self._is_over:
            return True
        self._is_over = True
        try:
            return self._exporter.shutdown(timeout) is not False
        except BaseException as error:  # an exporter may raise anything, SystemExit too
            log.warning("%s could not shut down", type(self._exporter).__name__, exc_info=error)
            return False


class Thread:
    """Calls a worker until the shutdown, or until the worker was dropped and nothing is left to send.

    While there is nothing to do it holds neither the worker nor its queue, so that the thread of a dropped tracer ends.
    """

    def __init__(self, worker: Worker) -> None:
        self.is_alive = False
        self._ident = 0
        self._first: Worker | None = worker  # until the thread has begun
        self._worker = weakref.ref(worker)
        self._mailbox = worker.mailbox
        self._release = worker.release

    def start(self) -> None:
        """RuntimeError if there can be no thread any more."""
        prepare_repair()
        self.is_alive = True
        try:
            native.start_thread(self._run, ())
        except RuntimeError:
            self.is_alive = False
            raise

    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return native.get_ident() == self._ident

    def _run(self) -> None:
        self._ident = native.get_ident()
        attach(SUPPRESSED)
        worker, self._first = self._first, None
        while worker is not None and not worker.stopped:
            busy_worker: Worker | None = worker
            try:
                pause = worker.advance()
                if worker.stopped:
                    break
                busy_worker = None if worker.is_idle() else worker
                del worker
                mails = read(self._mailbox, pause)
                worker = busy_worker or self._worker()
                if worker is None:  # it was dropped; with something left it comes by mail
                    mails += read(self._mailbox, 0.0)
                    worker = next((one for one in mails if isinstance(one, Worker)), None)
                if worker is not None:
                    for mail in mails:
                        worker.receive(mail)
                del mails
            except BaseException:  # nothing may end this thread but the shutdown
                log.exception("the export of spans met an error of its own; it goes on")
                native.sleep(1.0)
                worker = busy_worker or self._worker()
        self._release(0.0)
        self._ident = 0  # another thread may get it
        self.is_alive = False
