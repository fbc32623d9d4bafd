"""Tracers that nobody has any more, and that nobody shut down."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import mqtrace

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")


class Collecting:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.shutdowns = 0

    def export(self, spans: Any) -> None:
        self.names += [span.name for span in spans]

    def shutdown(self, timeout: float) -> None:
        self.shutdowns += 1


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.fixture(autouse=True)
def short_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")


def comes(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        gc.collect()
        time.sleep(0.01)
    return true()


def test_their_threads_end_with_them_and_their_spans_leave() -> None:
    before, exporter = threads(), Collecting()
    for number in range(20):
        mqtrace.Tracer("shop", exporter=exporter).start_span(str(number)).end()
    gc.collect()
    assert comes(lambda: threads() <= before)
    assert sorted(map(int, exporter.names)) == list(range(20))
    assert exporter.shutdowns == 20


def test_a_thread_that_sleeps_is_woken_for_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that ended while the worker slept is held by nobody but the queue that is dropped."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    before, exporter = threads(), Collecting()
    tracer = mqtrace.Tracer("shop", exporter=exporter)
    tracer.start_span("first").end()
    assert tracer.flush(5)
    time.sleep(0.05)
    tracer.start_span("second").end()
    del tracer
    gc.collect()
    assert comes(lambda: exporter.names == ["first", "second"], 2.0)
    assert comes(lambda: threads() <= before)


def test_a_span_that_is_open_keeps_its_tracers_thread() -> None:
    exporter = Collecting()
    span = mqtrace.Tracer("shop", exporter=exporter).start_span("open")
    mqtrace.Tracer("shop", exporter=exporter).start_span("other").end()
    gc.collect()
    assert comes(lambda: exporter.names == ["other"])
    span.end()
    del span
    gc.collect()
    assert comes(lambda: exporter.names == ["other", "open"])


def test_a_tracer_that_did_nothing_leaves_nothing() -> None:
    before, exporter = threads(), Collecting()
    for _ in range(20):
        mqtrace.Tracer("shop", exporter=exporter)
    gc.collect()
    assert threads() <= before
    assert exporter.names == []


def test_an_exporter_that_hangs_keeps_no_caller() -> None:
    go_on = threading.Event()

    class Hanging(Collecting):
        def export(self, spans: Any) -> None:
            go_on.wait(30)
            super().export(spans)

    exporter = Hanging()
    mqtrace.Tracer("shop", exporter=exporter).start_span("slow").end()
    began = time.monotonic()
    gc.collect()
    time.sleep(0.3)  # it hangs by now
    gc.collect()
    assert time.monotonic() - began < 10
    go_on.set()
    assert comes(lambda: exporter.names == ["slow"])
