"""The worker: how long it holds the interpreter and rests. When batches leave is in tests/export/test_batch.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from mqtrace import core
from mqtrace.export.memory import MemoryExporter
from mqtrace.export.queue import SpanQueue, Ticket
from mqtrace.export.worker import Worker


class Slow(MemoryExporter):
    """Time passes with each batch, and with each rest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, batch: float) -> None:
        super().__init__()
        self.now = 0.0
        self.batch = batch
        #: How long a thread that wants the interpreter waits for it.
        self.wait = 0.0
        self.rests: list[float] = []
        clock = SimpleNamespace(sleep=self._rest, monotonic=lambda: self.now)
        monkeypatch.setattr("mqtrace.export.worker.time", clock)
        monkeypatch.setattr("mqtrace.export.worker.native", clock)

    def export(self, spans: Sequence[core.Span]) -> None:
        self.now += self.batch
        super().export(spans)

    def _rest(self, seconds: float) -> None:
        self.now += seconds + self.wait
        self.rests.append(seconds)


def _conclude(*, arrived: bool) -> None:
    """The processor that these workers do not have."""


@pytest.mark.parametrize(("queued", "batches"), [(700, 4), (800, 15)])
def test_the_worker_gives_way_after_a_few_batches_and_later_where_the_queue_is_about_to_overflow(
    maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, queued: int, batches: int
) -> None:
    """After 0.4 ms, and after 1.5 ms where more than three quarters of the room are taken."""
    spans = SpanQueue(1000, 1 << 20, 10)
    worker = Worker(spans, Slow(monkeypatch, 0.0001), conclude=_conclude, clock=core.Clock(), delay=60.0)
    maker(spans).end(queued)
    assert worker.turn() == 0.0
    assert spans.stats()["batches_exported"] == pytest.approx(batches, abs=1)


def test_a_batch_that_takes_long_is_the_only_one_of_its_turn(
    maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = SpanQueue(1000, 1 << 20, 10)
    worker = Worker(spans, Slow(monkeypatch, 1.0), conclude=_conclude, clock=core.Clock(), delay=60.0)
    maker(spans).end(100)
    worker.turn()
    assert spans.stats()["batches_exported"] == 1


@pytest.mark.parametrize(
    ("queued", "wait", "rests"),
    [
        pytest.param(300, 0.0, [0.0016, 0.0016, 0.0016], id="a fifth of the time"),
        pytest.param(950, 0.0, [0.0, 0.0016, 0.0016], id="about to overflow"),
        pytest.param(300, 0.005, [0.0016, 0.0, 0.0], id="the application gives nothing away"),
    ],
)
def test_a_worker_with_a_backlog_rests_four_times_as_long_as_it_works(
    maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, queued: int, wait: float, rests: list[float]
) -> None:
    spans = SpanQueue(1000, 1 << 20, 10)
    exporter = Slow(monkeypatch, 0.0001)
    exporter.wait = wait
    worker = Worker(spans, exporter, conclude=_conclude, clock=core.Clock(), delay=60.0)
    maker(spans).end(queued)
    for _ in rests:
        worker.turn()
    assert exporter.rests == rests


def test_a_worker_that_somebody_waits_for_does_not_rest(
    maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = SpanQueue(1000, 1 << 20, 10)
    exporter = Slow(monkeypatch, 0.0001)
    worker = Worker(spans, exporter, conclude=_conclude, clock=core.Clock(), delay=60.0)
    maker(spans).end(300)
    worker._tickets.append(Ticket(300, 60.0, last=False))
    worker.turn()
    assert exporter.rests == [0.0]
