"""The books of ``make soak``: one span unaccounted for is a fault, and what nobody can know is none."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("bench.soak.account")


def stats(**changed: Any) -> dict[str, Any]:
    dropped = {"queue_full": 20, "export_failed": 10, "shutdown": 0, **changed.pop("dropped", {})}
    counts = {"spans_ended": 100, "spans_exported": 70, "spans_queued": 0, "spans_in_flight": 0, **changed}
    return {**counts, "spans_dropped": dropped}


def test_what_adds_up_and_is_on_the_topic_is_no_fault(account: Any) -> None:
    assert account.faults_of_stats("load", 100, stats(), account.OnTopic(70)) == []


@pytest.mark.parametrize(
    ("made", "changed", "on_topic", "said"),
    [
        (101, {}, 70, "made 101 spans, 100 are counted as ended"),
        (100, {"spans_exported": 69}, 70, "1 of 100 spans are unaccounted for"),
        (100, {"spans_exported": 71}, 71, "-1 of 100 spans are unaccounted for"),
        (100, {"spans_exported": 69, "spans_queued": 1}, 70, "spans_queued is 1 after the shutdown"),
        (100, {"spans_exported": 69, "spans_in_flight": 1}, 70, "spans_in_flight is 1 after the shutdown"),
        (100, {}, 69, "70 spans are called exported, 69 are on the topic"),
        (100, {}, 81, "81 spans are on the topic, more than the 70 exported and the 10 given up"),
    ],
)
def test_one_span_too_few_or_too_many_is_a_fault(
    account: Any, made: int, changed: dict[str, Any], on_topic: int, said: str
) -> None:
    (fault,) = account.faults_of_stats("load", made, stats(**changed), account.OnTopic(on_topic))
    assert fault == f"load: {said}"


def test_what_was_given_up_may_have_arrived(account: Any) -> None:
    assert account.faults_of_stats("load", 100, stats(), account.OnTopic(80, again=5)) == []


@pytest.mark.parametrize(
    ("on_topic", "broker_well", "fault"),
    [
        (1000, True, None),
        (1020, True, None),
        (999, True, "who: 1000 spans had ended, 999 are on the topic"),
        (999, False, None),
        (1021, True, "who: 1021 spans are on the topic, at most 1020 had ended"),
        (1021, False, "who: 1021 spans are on the topic, at most 1020 had ended"),
    ],
)
def test_of_a_process_that_ended_without_a_word_all_is_there_where_the_broker_was_well(
    account: Any, on_topic: int, broker_well: bool, fault: str | None
) -> None:
    found = account.faults_of_ended("who", 1000, 1020, account.OnTopic(on_topic), broker_well=broker_well)
    assert found == ([fault] if fault else [])


def test_every_hostile_header_leaves_a_message_its_span(monkeypatch: pytest.MonkeyPatch, spans: Any) -> None:
    monkeypatch.syspath_prepend(ROOT)
    hostile = importlib.import_module("bench.soak.headers").HOSTILE
    for headers in hostile:
        spans.tracer.start_span("process", parent=spans.tracer.extract(list(headers))).end()
    assert len(spans) == len(hostile)


@pytest.mark.parametrize(
    ("arrived", "met", "fault"),
    [
        (10, 10, None),
        (10, 14, None),
        (10, 9, "load: 10 messages had a header's name that is not UTF-8, the handler met 9"),
        (0, 0, "load: no message with a header's name that is not UTF-8 arrived"),
    ],
)
def test_a_handler_meets_the_names_that_are_not_utf_8(account: Any, arrived: int, met: int, fault: str | None) -> None:
    assert account.faults_of_names(arrived, met) == ([fault] if fault else [])


def test_a_hostile_name_is_none_that_can_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    name_of = importlib.import_module("bench.soak.foreign").Name
    for name in importlib.import_module("bench.soak.headers").HOSTILE_NAMES:
        with pytest.raises(UnicodeDecodeError):
            name.decode()
        assert name_of(name).encode("utf-8") == name
