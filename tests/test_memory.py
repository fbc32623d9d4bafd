"""Memory: what has left is gone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types
import pytest

import mqtrace
from mqtrace.clients.confluent.producer import TracedProducer
from mqtrace.clients.confluent.producer_state import ProducerState
from mqtrace.clients.proxy import stand_in

MESSAGES = 1_000_000


class Report:
    """The message of a delivery report."""

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 1_000_000


class Client:
    """A producer that delivers at once: what is measured is ours."""

    def produce(self, *arguments: Any) -> None:
        report = arguments[4]
        if report is not None:
            report(None, Report())

    def poll(self, *arguments: Any) -> int:
        return 0

    def flush(self, *arguments: Any) -> int:
        return 0


def reported(tracer: mqtrace.Tracer) -> ProducerState:
    """The state of a producer whose every message has a report."""
    state = ProducerState(tracer, Client.produce, {})
    state.span_is_callback = True
    return state


def resident() -> int:
    """MiB."""
    gc.collect()
    return int(psutil.Process().memory_info().rss >> 20)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_million_messages_leave_the_resident_size_where_it_was(message: Callable[..., Any]) -> None:
    tracer = mqtrace.Tracer("memory", exporter="none:")
    client = Client()
    producer = stand_in(TracedProducer, client, reported(tracer))

    @tracer.consumer
    def handle(incoming: object) -> None: ...

    incoming = message(headers=[("traceparent", b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-03")])

    def work(count: int) -> None:
        for number in range(count):
            producer.produce("orders", b"v")
            handle(incoming)
            if not number % 5000:
                assert tracer.flush(30)

    work(10_000)
    tracer.flush(30)
    before = resident()
    work(MESSAGES - 10_000)
    tracer.flush(30)
    stats = tracer.stats()
    assert stats["spans_ended"] == 2 * MESSAGES
    assert sum(stats["spans_dropped"].values()) == 0
    # the queue is empty; what an allocator keeps of its 20,480 spans is within this
    assert resident() - before < 16
    tracer.shutdown()


@pytest.mark.slow
def test_destinations_and_names_that_are_made_up_do_not_pile_up(message: Callable[..., Any]) -> None:
    tracer = mqtrace.Tracer("memory", sampler=0.0, exporter="none:")
    client = Client()
    producer = stand_in(TracedProducer, client, reported(tracer))

    def work(first: int, count: int) -> None:
        for number in range(first, first + count):
            producer.produce(f"reply-{number}", b"v")
            tracer.start_span(f"request {number}").end()

    work(0, 5000)
    before = resident()
    began = time.monotonic()
    work(5000, 50_000)
    assert time.monotonic() - began < 60
    assert resident() - before < 8
    tracer.shutdown()
