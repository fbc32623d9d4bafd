"""Attempts that a worker's main process cancels: told of once, by it or by the child. Real workers: tests/broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import Terminated  # type: ignore[import-untyped]  # billiard ships no types
from celery import Celery  # type: ignore[import-untyped]  # nor does Celery
from celery.worker.request import Request  # type: ignore[import-untyped]  # as above

import mqtrace
from mqtrace.clients.celery import killed_children
from mqtrace.testing import Spans


@pytest.fixture
def app(spans: Spans) -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = "cancelled"  # queues in memory are the process's, whichever app declares them

    @app.task(name="shop.add", shared=False)  # type: ignore[untyped-decorator]  # as above
    def add(*numbers: int) -> int:
        return sum(numbers)

    app.finalize()
    mqtrace.instrument_celery(app)
    killed_children.hook()
    yield app
    killed_children.report_cancelled()
    killed_children.unhook()
    mqtrace.uninstrument_celery()


@pytest.fixture
def cancel(app: Celery) -> Iterator[Callable[[Any], Any]]:
    """``cancel(result)``: have a worker receive a task, begin it, and cancel it. ``result``: what billiard awaits."""
    queue = app.amqp.queues[app.conf.task_default_queue].bind(app.connection_for_read().channel())
    queue.declare()
    pool = SimpleNamespace(terminate_job=lambda *_: None)

    def cancel(result: Any) -> Any:
        app.tasks["shop.add"].delay(1, 2)
        request = Request(queue.get(), app=app, hostname="till@localhost")
        killed_children.received(request=request)
        request.time_start = time.time()
        request._apply_result = lambda: result
        request.cancel(pool)
        assert request._already_cancelled
        return request

    yield cancel
    queue.delete()


class Result(SimpleNamespace):
    """billiard's ApplyResult."""

    def __init__(self, ready: Callable[[], bool], successful: bool = False) -> None:
        super().__init__(ready=ready, successful=lambda: successful, terminate=lambda signal: None)


def _runs(spans: Spans) -> list[Any]:
    return [span for span in spans if span.kind == "consumer"]


def test_an_attempt_that_gives_no_result_is_told_of_as_cancelled_at_the_end(spans: Spans, cancel: Any) -> None:
    cancel(Result(lambda: False))
    assert not _runs(spans)
    killed_children.report_cancelled()
    killed_children.report_cancelled()
    (run,) = _runs(spans)
    assert (run.name, run.status, run.attributes["error.type"]) == ("process shop.add", "error", "cancelled")
    assert run.attributes["celery.state"] == "RETRY"


def test_an_attempt_that_ended_in_time_is_left_to_the_child_that_told_of_it(spans: Spans, cancel: Any) -> None:
    ended: list[bool] = []
    cancel(Result(lambda: bool(ended), successful=True))
    ended.append(True)
    cancel(Result(lambda: False))  # the next one, for which the ones before are looked through
    killed_children.report_cancelled()
    assert len(_runs(spans)) == 1


def test_what_celery_keeps_privately_may_change_and_the_worker_goes_on(spans: Spans, cancel: Any) -> None:
    def gone() -> bool:
        raise AttributeError("ready")

    for result in (Result(gone), SimpleNamespace(terminate=lambda signal: None), None):
        cancel(result)
    killed_children.report_cancelled()
    assert [run.attributes["error.type"] for run in _runs(spans)] == ["cancelled"] * 3


def test_a_failure_that_is_heard_of_after_all_costs_the_worker_nothing(spans: Spans, cancel: Any) -> None:
    def gone() -> bool:
        raise AttributeError("ready")

    request = cancel(Result(gone))
    request.on_failure(SimpleNamespace(exception=Terminated(15)), return_ok=False)
    assert [run.attributes["error.type"] for run in _runs(spans)] == ["cancelled"]
