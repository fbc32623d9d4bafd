"""The queue: bounded in spans and in bytes, what is in flight included; every span is somewhere, and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mqtrace.export.queue import SpanQueue

Make = Callable[..., SpanQueue]


@pytest.fixture
def queue() -> Make:
    """``queue(size=10, batch=4)``, with a worker that is asleep."""

    def make(size: int = 10, batch: int = 4, size_bytes: int = 1 << 20) -> SpanQueue:
        made = SpanQueue(size, size_bytes, batch)
        assert made.rest(batch)
        return made

    return make


def mail(queue: SpanQueue) -> int:
    """How often the worker was woken since."""
    count = 0
    while not queue.mailbox.empty():
        queue.mailbox.get()
        count += 1
    return count


def test_the_worker_sleeps_until_a_batch_is_full_and_is_woken_once(queue: Make, maker: Any) -> None:
    spans = queue(batch=4)
    ends = maker(spans)
    ends.end(3)
    assert mail(spans) == 0
    ends.end(3)
    assert mail(spans) == 1


def test_a_worker_does_not_sleep_where_there_is_a_batch_already(queue: Make, maker: Any) -> None:
    spans = queue(batch=4)
    maker(spans).end(4)
    assert not spans.rest(4)
    assert spans.rest(5)


def test_a_batch_is_the_oldest_spans_in_their_order(queue: Make, maker: Any) -> None:
    spans = queue(batch=4)
    maker(spans).end(6)
    ended = list(spans.queue)
    first, second = spans.take(), spans.take()
    assert first is not None
    assert second is not None
    assert ([*first.spans, *second.spans], first.position, second.position) == (ended, 0, 4)
    assert spans.take() is None


def test_what_is_in_flight_counts_against_the_bound_until_it_has_left(queue: Make, maker: Any) -> None:
    spans = queue(size=10, batch=4)
    ends = maker(spans)
    ends.end(4)
    batch = spans.take()
    assert batch is not None
    ends.end(8)
    counts = spans.stats()
    assert (counts["spans_queued"], counts["spans_in_flight"], counts["spans_dropped"]["queue_full"]) == (6, 4, 2)
    assert spans.complete(batch, 4, 100, {})
    ends.end(4)
    counts = spans.stats()
    assert (counts["spans_queued"], counts["spans_exported"], counts["bytes_exported"]) == (10, 4, 100)


def test_a_batch_is_counted_once(queue: Make, maker: Any) -> None:
    spans = queue(batch=4)
    maker(spans).end(4)
    batch = spans.take()
    assert batch is not None
    assert spans.complete(batch, 3, 30, {"too_large": 1})
    assert not spans.complete(batch, 4, 40, {})
    counts = spans.stats()
    assert (counts["spans_exported"], counts["spans_dropped"]["too_large"], counts["spans_ended"]) == (3, 1, 4)


def test_what_nobody_accounts_for_has_failed(queue: Make, maker: Any) -> None:
    spans = queue(batch=4)
    maker(spans).end(4)
    batch = spans.take()
    assert batch is not None
    spans.complete(batch, 1, 10, {"a reason of its own": 1})
    assert spans.stats()["spans_dropped"]["export_failed"] == 3


def test_everything_before_a_position_has_left_when_the_oldest_batch_has(queue: Make, maker: Any) -> None:
    spans = queue(batch=2)
    maker(spans).end(4)
    first, second = spans.take(), spans.take()
    assert first is not None
    assert second is not None
    assert (spans.end, spans.completed_up_to()) == (4, 0)
    spans.complete(second, 2, 0, {})
    assert spans.completed_up_to() == 0
    spans.complete(first, 2, 0, {})
    assert spans.completed_up_to() == 4
    assert spans.is_empty


def test_heavy_spans_are_bounded_by_what_they_weigh(queue: Make, maker: Any) -> None:
    spans = queue(size=100, batch=50, size_bytes=10_000)
    ends = maker(spans)
    for text in ("x" * 3000, "x" * 3000, "x" * 5000, "x" * 20_000):
        span = ends.start()
        span.set_attribute("text", text)
        span.end()
    counts = spans.stats()
    assert counts["spans_queued"] == 2
    assert (counts["spans_dropped"]["queue_full"], counts["spans_dropped"]["too_large"]) == (1, 1)


def test_a_batch_of_heavy_spans_weighs_an_eighth_of_the_bound_at_most_or_is_one_span(queue: Make, maker: Any) -> None:
    spans = queue(size=100, batch=50, size_bytes=80_000)
    ends = maker(spans)
    for length in (3000, 3000, 3000, 20_000, 3000, 0, 3000):
        span = ends.start()
        span.set_attribute("text", "x" * length)
        span.end()
    batches = []
    while batch := spans.take():
        batches.append(len(batch.spans))
    assert batches == [3, 1, 3]


def test_a_closed_queue_drops_what_ends_and_abandons_what_has_not_left(queue: Make, maker: Any) -> None:
    spans = queue(batch=2)
    ends = maker(spans)
    ends.end(3)
    spans.take()
    spans.close()
    ends.end(2)
    assert spans.abandon()
    assert not spans.abandon()
    counts = spans.stats()
    assert (counts["spans_queued"], counts["spans_in_flight"], counts["spans_dropped"]["shutdown"]) == (0, 0, 5)
