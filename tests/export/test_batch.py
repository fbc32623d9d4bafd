"""What the batch processor promises: everything that ended leaves, or is counted by the reason why it did not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from mqtrace import core, native
from mqtrace.export.batch import COUNTS, DROP_REASONS, BatchProcessor
from mqtrace.export.memory import MemoryExporter
from mqtrace.testing.clock import FakeClock

Process = Callable[..., BatchProcessor]


class Hanging:
    """An exporter that hangs until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def export(self, spans: Sequence[core.Span]) -> None:
        self.entered.set()
        self.let_go.wait(20)

    def shutdown(self, timeout: float) -> None:
        pass


class Raising:
    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error
        self.spans = 0

    def export(self, spans: Sequence[core.Span]) -> None:
        if self.error is not None:
            raise self.error
        self.spans += len(spans)

    def shutdown(self, timeout: float) -> None:
        pass


class Pipelined:
    """Settles what it was given when told to."""

    export_timeout = 0.0

    def __init__(self) -> None:
        self.pending: list[tuple[Any, Any]] = []
        self.answers = False

    def submit(self, spans: Any, settle: Any) -> None:
        self.pending.append((spans, settle))

    def poll(self, timeout: float) -> None:
        if self.answers:
            pending, self.pending = self.pending, []
            for spans, settle in pending:
                settle(len(spans), 10 * len(spans), {})
                settle(len(spans), 10 * len(spans), {})
        elif timeout:
            time.sleep(timeout)

    def shutdown(self, timeout: float) -> bool:
        return not self.pending


@contextmanager
def eventually(seconds: float = 5.0) -> Iterator[Callable[[Callable[[], bool]], None]]:
    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass"
            time.sleep(0.002)

    yield wait


def balanced(stats: dict[str, Any]) -> bool:
    return int(stats["spans_ended"]) == int(
        stats["spans_exported"]
        + stats["spans_queued"]
        + stats["spans_in_flight"]
        + sum(stats["spans_dropped"].values())
    )


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test takes the worker's turns itself.

    One turn does all that is due, however slow the machine is: after how long a worker gives way is in test_worker.py.
    """
    monkeypatch.setattr(BatchProcessor, "_ensure_worker", lambda self: True)
    monkeypatch.setattr("mqtrace.export.worker._HOLD_S", 60.0)
    monkeypatch.setattr("mqtrace.export.worker._HOLD_CROWDED_S", 60.0)


# ---------------------------------------------------------------------- when batches leave


@pytest.mark.usefixtures("no_thread")
def test_a_batch_leaves_when_it_is_full_and_not_before(process: Process, maker: Any, clock: FakeClock) -> None:
    memory = MemoryExporter()
    processor = process(memory, clock)
    spans = maker(processor, clock)
    spans.end(99)
    processor._worker.turn()
    assert memory.spans == []
    spans.end(1)
    processor._worker.turn()
    assert len(memory.spans) == 100


@pytest.mark.usefixtures("no_thread")
def test_the_oldest_span_waits_five_seconds_and_a_trickle_does_not_restart_them(
    process: Process, maker: Any, clock: FakeClock
) -> None:
    """FAULTS 20."""
    memory = MemoryExporter()
    processor = process(memory, clock)
    spans = maker(processor, clock)
    for _ in range(9):
        spans.end()
        assert processor._worker.turn() <= 5.0
        clock.advance(0.55)
    assert memory.spans == []
    clock.advance(0.05)
    processor._worker.turn()
    assert len(memory.spans) == 9


@pytest.mark.usefixtures("no_thread")
def test_the_worker_sleeps_no_longer_than_the_oldest_span_may_wait(
    process: Process, maker: Any, clock: FakeClock
) -> None:
    processor = process(MemoryExporter(), clock)
    maker(processor, clock).end()
    clock.advance(3.5)
    assert processor._worker.turn() == pytest.approx(1.5)


@pytest.mark.usefixtures("no_thread")
def test_a_span_that_ended_in_the_future_holds_nothing_up(process: Process, maker: Any, clock: FakeClock) -> None:
    memory = MemoryExporter()
    processor = process(memory, clock)
    spans = maker(processor, clock)
    spans.start().end(end_time=clock.epoch(clock.now()) + 10**15)
    processor._worker.turn()
    clock.advance(5)
    processor._worker.turn()
    assert len(memory.spans) == 1


def test_full_batches_leave_soon_at_any_rate(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory, schedule_delay=3600.0)
    spans = maker(processor)
    with eventually() as wait:
        for total in (100, 200, 300):
            spans.end(100)
            wait(lambda total=total: len(memory.spans) == total)  # type: ignore[misc]  # mypy knows no lambda defaults


@pytest.mark.usefixtures("no_thread")
def test_batches_that_fill_fast_do_not_wake_the_worker_which_comes_by_itself(
    process: Process, maker: Any, clock: FakeClock
) -> None:
    memory = MemoryExporter()
    processor = process(memory, clock, max_queue_size=1200)
    spans = maker(processor, clock)
    spans.end(150)
    processor.sink.mailbox.get_nowait()  # the first span of all woke it
    pause = processor._worker.turn()
    assert 0 < pause <= 0.1, "the next full one is seen soon"
    spans.end(200)
    assert processor.sink.mailbox.empty()
    spans.end(50)
    assert not processor.sink.mailbox.empty(), "a quarter of the bound is too much to wait with"
    processor.sink.mailbox.get_nowait()
    clock.advance(0.1)
    assert processor._worker.turn() <= 0.1
    assert len(memory.spans) == 400
    assert processor._worker.turn() > 1.0, "no more of them came"
    spans.end(100)
    assert not processor.sink.mailbox.empty()


@pytest.mark.usefixtures("no_thread")
def test_a_batch_that_filled_slowly_leaves_as_soon_as_it_is_full(
    process: Process, maker: Any, clock: FakeClock
) -> None:
    processor = process(MemoryExporter(), clock)
    spans = maker(processor, clock)
    processor._worker.turn()
    for _ in range(3):
        spans.end(99)
        clock.advance(0.11)
        assert processor.sink.mailbox.empty()
        spans.end(1)
        processor.sink.mailbox.get_nowait()
        assert processor._worker.turn() > 1.0


def test_the_delay_is_kept_by_the_thread_too(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory, schedule_delay=0.1)
    spans = maker(processor)
    with eventually() as wait:
        for total in (1, 2):
            spans.end()
            wait(lambda total=total: len(memory.spans) == total)  # type: ignore[misc]  # as above


def test_without_a_delay_a_span_leaves_at_once_and_nobody_spins(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory, schedule_delay=0.0)
    spans = maker(processor)
    with eventually() as wait:
        for total in (1, 2, 3):
            spans.end()
            wait(lambda total=total: len(memory.spans) == total)  # type: ignore[misc]  # as above
    began = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - began < 0.1


def test_no_batch_is_larger_than_asked_for(process: Process, maker: Any) -> None:
    sizes: list[int] = []

    class Sizes(MemoryExporter):
        def export(self, spans: Sequence[core.Span]) -> None:
            sizes.append(len(spans))

    processor = process(Sizes(), max_batch_size=7)
    maker(processor).end(40)
    assert processor.flush(5)
    assert max(sizes) == 7
    assert sum(sizes) == 40


# ---------------------------------------------------------------------- the bound


@pytest.mark.usefixtures("no_thread")
def test_a_full_queue_drops_and_counts_every_span(process: Process, maker: Any) -> None:
    """FAULTS 16."""
    processor = process(MemoryExporter(), max_queue_size=150)
    maker(processor).end(1000)
    stats = processor.stats()
    assert (stats["spans_queued"], stats["spans_dropped"]["queue_full"], stats["spans_ended"]) == (150, 850, 1000)


@pytest.mark.usefixtures("no_thread")
def test_what_is_in_flight_counts_against_the_bound(process: Process, maker: Any) -> None:
    exporter = Pipelined()
    processor = process(exporter, max_queue_size=250)
    spans = maker(processor)
    for _ in range(10):
        spans.end(60)
        processor._worker.turn()
        stats = processor.stats()
        assert stats["spans_queued"] + stats["spans_in_flight"] <= 250
        assert balanced(stats)
    assert stats["spans_dropped"]["queue_full"] == 350
    exporter.answers = True
    processor._worker.turn()
    spans.end(60)
    assert processor.stats()["spans_dropped"]["queue_full"] == 350
    assert processor.stats()["spans_exported"] == 250


@pytest.mark.usefixtures("no_thread")
def test_heavy_spans_are_bounded_in_bytes(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory, max_queue_bytes=100_000)
    spans = maker(processor)

    def heavy(size: int) -> None:
        span = spans.start()
        span.set_attribute("text", "x" * size)
        span.end()

    heavy(200_000)
    for _ in range(5):
        heavy(30_000)
    dropped = processor.stats()["spans_dropped"]
    assert (dropped["too_large"], dropped["queue_full"]) == (1, 2)
    processor._worker.turn()  # half of the bytes are used: that is reason enough
    assert len(memory.spans) == 3
    heavy(90_000)
    assert processor.stats()["spans_queued"] == 1


def test_a_drop_is_said_once(process: Process, maker: Any, caplog: pytest.LogCaptureFixture) -> None:
    processor = process(Hanging(), max_queue_size=10)
    maker(processor).end(100)
    assert processor.stats()["spans_dropped"]["queue_full"] >= 80
    processor.exporter.let_go.set()  # type: ignore[union-attr]  # a Hanging
    processor.flush(5)
    with eventually() as wait:
        wait(lambda: bool(caplog.records))
    assert len([r for r in caplog.records if "queue of spans is full" in r.getMessage()]) == 1


# ---------------------------------------------------------------------- flush


def test_flush_waits_until_everything_arrived(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory)
    assert processor.flush(1)
    maker(processor).end(250)
    assert processor.flush(5)
    assert len(memory.spans) == 250
    stats = processor.stats()
    assert (stats["spans_exported"], stats["spans_queued"], stats["spans_in_flight"]) == (250, 0, 0)
    assert stats["batches_exported"] == 3


def test_flush_waits_for_reports(process: Process, maker: Any) -> None:
    exporter = Pipelined()
    processor = process(exporter)
    maker(processor).end(250)
    assert not processor.flush(0.1)
    assert processor.stats()["spans_in_flight"] == 250
    exporter.answers = True
    assert processor.flush(5)
    stats = processor.stats()
    assert (stats["spans_exported"], stats["bytes_exported"]) == (250, 2500)


@pytest.mark.parametrize("call", ["flush", "shutdown"])
def test_the_timeout_holds_with_an_exporter_that_hangs(process: Process, maker: Any, call: str) -> None:
    """FAULTS 15."""
    exporter = Hanging()
    processor = process(exporter)
    maker(processor).end(250)
    assert exporter.entered.wait(5)
    began = time.monotonic()
    assert not getattr(processor, call)(0.2)
    assert 0.15 < time.monotonic() - began < 2
    exporter.let_go.set()


def test_flush_says_when_something_was_lost(process: Process, maker: Any) -> None:
    exporter = Raising(ValueError("no"))
    processor = process(exporter)
    spans = maker(processor)
    spans.end(5)
    assert not processor.flush(5)  # five wait for their delay until then
    exporter.error = None
    spans.end(5)
    assert processor.flush(5)


def test_flush_ends_while_spans_keep_coming(process: Process, maker: Any) -> None:
    processor = process(MemoryExporter())
    spans = maker(processor)
    stop = threading.Event()

    def keep() -> None:
        while not stop.is_set():
            spans.end(10)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        for _ in range(5):
            began = time.monotonic()
            assert processor.flush(10)
            assert time.monotonic() - began < 5
    finally:
        stop.set()
        thread.join()


def test_flush_from_within_an_exporter_does_not_wait(process: Process, maker: Any) -> None:
    answers: list[bool] = []

    class Flushing(MemoryExporter):
        def export(self, spans: Sequence[core.Span]) -> None:
            answers.append(processor.flush(10))
            super().export(spans)

    exporter = Flushing()
    processor = process(exporter)
    maker(processor).end(5)
    began = time.monotonic()
    assert processor.flush(10)
    assert time.monotonic() - began < 5
    assert answers == [False]


def test_an_interrupted_flush_leaves_everything_usable(
    process: Process, maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = Hanging()
    processor = process(exporter)
    spans = maker(processor)
    spans.end(5)
    with monkeypatch.context() as patch:
        patch.setattr(
            "mqtrace.export.queue.Ticket.wait", lambda self, seconds: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            processor.flush(5)
    exporter.let_go.set()
    spans.end(5)
    assert processor.flush(5)
    assert processor.stats()["spans_exported"] == 10


def test_many_threads_may_flush_and_shut_down_at_once(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory)
    maker(processor).end(1000)
    answers: list[bool] = []
    calls = [lambda: processor.flush(5), lambda: processor.shutdown(5)] * 8
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - began < 4
    assert answers == [True] * 16
    assert len(memory.spans) == 1000


# ---------------------------------------------------------------------- shutdown


def test_after_the_shutdown_nothing_is_held_and_every_span_is_dropped(process: Process, maker: Any) -> None:
    memory = MemoryExporter()
    processor = process(memory)
    spans = maker(processor)
    spans.end(150)
    assert processor.shutdown(5)
    assert processor.shutdown(5)
    spans.end(7)
    heavy = spans.start()
    heavy.set_attribute("text", "x" * 5000)
    heavy.end()
    stats = processor.stats()
    assert (stats["spans_exported"], stats["spans_dropped"]["shutdown"], stats["spans_ended"]) == (150, 8, 158)
    assert (stats["spans_queued"], stats["spans_in_flight"]) == (0, 0)
    assert processor.flush(1)


def test_what_does_not_leave_in_time_is_counted_as_lost_to_the_shutdown(process: Process, maker: Any) -> None:
    exporter = Hanging()
    processor = process(exporter)
    maker(processor).end(250)
    assert exporter.entered.wait(5)
    assert not processor.shutdown(0.1)
    stats = processor.stats()
    assert (stats["spans_queued"], stats["spans_in_flight"], stats["spans_dropped"]["shutdown"]) == (0, 0, 250)
    exporter.let_go.set()
    time.sleep(0.1)  # the exporter comes back, too late to count
    assert processor.stats() == stats
    assert not processor.shutdown(5)


def test_an_exporter_whose_shutdown_hangs_is_left_behind(process: Process, maker: Any) -> None:
    class Endless(MemoryExporter):
        def shutdown(self, timeout: float) -> None:
            time.sleep(3)

    processor = process(Endless())
    maker(processor).end(5)
    began = time.monotonic()
    assert not processor.shutdown(0.2)
    assert time.monotonic() - began < 2
    assert processor.stats()["spans_exported"] == 5


def test_the_exporter_is_shut_down_once_also_without_a_span(process: Process) -> None:
    calls: list[float] = []

    class Closing(MemoryExporter):
        def shutdown(self, timeout: float) -> None:
            calls.append(timeout)

    processor = process(Closing())
    assert processor.shutdown(3)
    assert processor.shutdown(3)
    assert len(calls) == 1
    assert 0 < calls[0] <= 3


def test_where_no_thread_can_start_the_caller_does_the_work(
    process: Process, maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(function: Any, arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    memory = MemoryExporter()
    processor = process(memory)
    with monkeypatch.context() as patch:
        patch.setattr(native, "start_thread", refuse)
        maker(processor).end(250)
        assert processor.flush(5)
        assert len(memory.spans) == 250
        maker(processor).end(250)
        assert processor.shutdown(5)
    assert len(memory.spans) == 500


# ---------------------------------------------------------------------- exporters that fail


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_no_exception_of_an_exporter_ends_the_worker(
    process: Process, maker: Any, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = Raising(error)
    processor = process(exporter)
    spans = maker(processor)
    for _ in range(3):
        spans.end(100)
        processor.flush(5)
    assert processor.stats()["spans_dropped"]["export_failed"] == 300
    assert len(caplog.records) == 1
    exporter.error = None
    spans.end(100)
    assert processor.flush(5)
    assert exporter.spans == 100


def test_an_exporter_on_a_traced_client_does_not_trace_itself(process: Process, maker: Any) -> None:
    """FAULTS 17."""

    class Traced(MemoryExporter):
        def export(self, spans: Sequence[core.Span]) -> None:
            child = core.start(factory.work, core.current_frame(), core.Span)
            child.end()
            super().export(spans)

    exporter = Traced()
    processor = process(exporter)
    factory = maker(processor)
    factory.end(3)
    assert processor.flush(5)
    assert processor.flush(5)
    assert processor.stats()["spans_ended"] == 3


def test_upkeep_runs_before_the_first_span_and_may_fail(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mqtrace.export.worker._UPKEEP_S", 0.01)
    calls: list[int] = []

    def upkeep() -> None:
        calls.append(1)
        raise ValueError("no")

    processor = process(MemoryExporter(), upkeep=upkeep)
    processor.start()
    with eventually() as wait:
        wait(lambda: len(calls) > 3)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


# ---------------------------------------------------------------------- counts


def test_the_counts_have_every_name_from_the_beginning(process: Process) -> None:
    stats = process(MemoryExporter()).stats()
    assert stats == {**dict.fromkeys(COUNTS, 0), "spans_dropped": dict.fromkeys(DROP_REASONS, 0)}


def test_the_counts_balance_at_every_moment(process: Process, maker: Any) -> None:
    exporter = Pipelined()
    exporter.answers = True
    processor = process(exporter, max_queue_size=500, max_batch_size=10)
    spans = maker(processor)
    seen: list[dict[str, Any]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(processor.stats())

    threads = [threading.Thread(target=spans.end, args=(5000,)) for _ in range(4)]
    watcher = threading.Thread(target=look)
    for thread in (watcher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert processor.shutdown(10)
    stop.set()
    watcher.join()
    assert len(seen) > 10
    assert all(balanced(stats) for stats in seen)
    assert all(stats["spans_queued"] + stats["spans_in_flight"] <= 500 + len(threads) for stats in seen)
    ended = [stats["spans_ended"] for stats in seen]
    assert ended == sorted(ended)
    assert processor.stats()["spans_ended"] == 20_000


@pytest.mark.usefixtures("no_thread")
def test_more_results_than_spans_do_not_upset_the_counts(process: Process, maker: Any) -> None:
    class Odd(Pipelined):
        def submit(self, spans: Any, settle: Any) -> None:
            settle(len(spans) - 3, 1, {"too_large": 1, "of its own": 1})

    processor = process(Odd(), max_batch_size=10)
    maker(processor).end(10)
    processor._worker.turn()
    stats = processor.stats()
    assert (stats["spans_exported"], stats["spans_dropped"]["too_large"]) == (7, 1)
    assert stats["spans_dropped"]["export_failed"] == 2
    assert balanced(stats)


# ---------------------------------------------------------------------- what the exporter holds


class Holding:
    """A broker that confirms when it is told to, and an exporter that holds twice what its spans weigh."""

    export_timeout = 30.0

    def __init__(self) -> None:
        self.under_way: list[tuple[int, Any]] = []
        self.confirms = False

    @property
    def held_bytes(self) -> int:
        return sum(2000 * count for count, _ in self.under_way)

    def submit(self, spans: Any, complete: Any) -> None:
        self.under_way.append((len(spans), complete))

    def poll(self, timeout: float) -> None:
        while self.confirms and self.under_way:
            count, complete = self.under_way.pop(0)
            complete(count, 1000 * count, {})

    def shutdown(self, timeout: float) -> bool:
        return not self.under_way


@pytest.mark.usefixtures("no_thread")
def test_what_the_exporter_holds_counts_to_the_bound_of_bytes(process: Process, maker: Any, clock: FakeClock) -> None:
    exporter = Holding()
    processor = process(exporter, clock, max_queue_bytes=300_000, max_batch_size=10, schedule_delay=1.0)
    spans = maker(processor, clock)
    most = 0
    for _ in range(500):
        span = spans.start()
        span.set_attribute("text", "x" * 1100)
        span.end()
        clock.advance(0.1)
        processor._worker.turn()
        most = max(most, processor.sink._weight + exporter.held_bytes)
    assert 300_000 // 2 < most <= 300_000 * 3 // 2
    exporter.confirms = True
    clock.advance(2.0)
    for _ in range(50):
        processor._worker.turn()
    stats = processor.stats()
    assert (stats["spans_queued"], stats["spans_in_flight"]) == (0, 0)
    assert stats["spans_exported"] + stats["spans_dropped"]["queue_full"] == 500
    assert stats["spans_exported"] > 50


@pytest.mark.usefixtures("no_thread")
def test_a_worker_that_may_hand_over_no_more_sleeps_until_it_looks_for_reports(
    process: Process, maker: Any, clock: FakeClock
) -> None:
    exporter = Holding()
    processor = process(exporter, clock, max_queue_bytes=20_000, max_batch_size=10)
    spans = maker(processor, clock)
    for _ in range(3):
        spans.end(10)
        processor._worker.turn()
    spans.end(10)
    assert len(exporter.under_way) == 2
    assert processor._worker.turn() > 0.05
