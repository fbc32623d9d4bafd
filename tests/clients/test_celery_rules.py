"""Rules by a task's name: a heartbeat makes no spans, and what it causes is decided as if nothing had been there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types

import mqtrace
from mqtrace import Rule
from mqtrace.testing import record


@pytest.fixture(scope="module")
def shop() -> Celery:
    made = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)

    @made.task(name="shop.heartbeat", bind=True)  # type: ignore[untyped-decorator]
    def heartbeat(self: Any) -> str:
        return str(mqtrace.current_span().is_recording())

    @made.task(name="shop.charge")  # type: ignore[untyped-decorator]
    def charge() -> str:
        return str(mqtrace.current_span().is_recording())

    @made.task(name="shop.tick")  # type: ignore[untyped-decorator]
    def tick() -> None:
        with mqtrace.start_span("inside"):
            pass

    return made


@pytest.fixture
def app(shop: Celery) -> Iterator[Celery]:
    mqtrace.instrument_celery(shop)
    yield shop
    mqtrace.uninstrument_celery()
    shop.conf.task_always_eager = False


RULES: list[Any] = [
    [Rule(task="shop.heart*", ignore=True)],
    {"task:shop.heartbeat": "ignore"},
    {"task:shop.heartbeat": 0.0, "celery": 1.0},
]


@pytest.mark.parametrize("rules", RULES)
def test_a_task_that_a_rule_names_is_not_recorded_when_it_is_sent(app: Celery, rules: Any) -> None:
    with record(rules=rules) as spans:
        app.tasks["shop.heartbeat"].delay()
        app.tasks["shop.charge"].delay()
    assert [span.name for span in spans] == ["send shop.charge"]


@pytest.mark.parametrize("rules", RULES)
def test_a_task_that_a_rule_names_is_not_recorded_when_it_runs(app: Celery, rules: Any) -> None:
    app.conf.task_always_eager = True
    with record(rules=rules) as spans:
        assert app.tasks["shop.heartbeat"].delay().get() == "False"
        assert app.tasks["shop.charge"].delay().get() == "True"
    assert [span.name for span in spans] == ["process shop.charge"]


def test_a_rule_of_tasks_does_not_take_a_queue_of_that_name(app: Celery) -> None:
    with record(rules={"task:celery": "ignore"}) as spans:
        app.tasks["shop.charge"].delay()
    assert [span.name for span in spans] == ["send shop.charge"]


def test_the_first_rule_that_matches_holds_whichever_of_the_two_it_is_for(app: Celery) -> None:
    with record(rules={"celery": "ignore", "task:shop.charge": 1.0}) as spans:
        app.tasks["shop.charge"].delay()
    assert not spans
    with record(rules={"task:shop.charge": 1.0, "celery": "ignore"}) as spans:
        app.tasks["shop.charge"].delay()
        app.tasks["shop.heartbeat"].delay()
    assert [span.name for span in spans] == ["send shop.charge"]


def test_what_is_sent_inside_an_ignored_task_is_below_the_span_that_sent_it(app: Celery) -> None:
    app.conf.task_always_eager = True
    with record(rules={"task:shop.tick": "ignore"}) as spans:
        with mqtrace.start_span("web") as web:
            app.tasks["shop.tick"].delay()
    assert {span.name: span.parent_id for span in spans} == {"inside": web.span_id, "web": None}
