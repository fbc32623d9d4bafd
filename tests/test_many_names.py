"""Beyond the names that are remembered, the most recent ones are: not those that came first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types

import mqtrace
from mqtrace.clients.celery.templates import Tasks
from mqtrace.messaging import Operation


def destinations(tracer: mqtrace.Tracer) -> Callable[[str], Any]:
    operation = Operation("send", tracer)

    def look(name: str) -> Any:
        return operation.templates.get(name) or operation.make(name, "kafka", "send", name)

    return look


def span_names(tracer: mqtrace.Tracer) -> Callable[[str], Any]:
    def look(name: str) -> Any:
        tracer.start_span(name).end()
        return tracer._names.get((name, "internal"))

    return look


def process_names(tracer: mqtrace.Tracer) -> Callable[[str], Any]:
    def look(name: str) -> Any:
        tracer.process(None, name=name)
        return tracer.operations.get((None, name))

    return look


def tasks(tracer: mqtrace.Tracer) -> Callable[[str], Any]:
    app = Celery("shop", broker="memory://")
    traced = Tasks(tracer, flush_timeout=1.0)
    return lambda name: traced.attempt_template(app, name, "", "celery")


@pytest.mark.parametrize("kind", [destinations, span_names, process_names, tasks])
def test_a_name_that_is_used_after_many_others_is_remembered(kind: Callable[[mqtrace.Tracer], Any]) -> None:
    tracer = mqtrace.Tracer("shop", sampler=0.0, exporter="none:")
    look = kind(tracer)
    for number in range(2200):
        look(f"name {number}")
    kept = look("the last")
    assert kept is not None
    assert look("the last") is kept
    tracer.shutdown()
