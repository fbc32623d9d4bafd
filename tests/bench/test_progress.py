"""A benchmark says how far it is, and ends when it said."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch, time: Time) -> Callable[..., Any]:
    monkeypatch.syspath_prepend(ROOT)
    kind = importlib.import_module("bench.progress").Progress
    return lambda *arguments: kind(*arguments, clock=time)


def a_round(progress: Any, time: Time, runs: int, seconds: float) -> list[str]:
    said = []
    for number in range(runs):
        said.append(progress.begin(f"run {number}"))
        time.now += seconds / runs
    return said


def test_a_line_says_which_process_it_is_the_time_so_far_and_what_is_left(progress: Any, time: Time) -> None:
    runs = progress(2, 4)
    first = a_round(runs, time, 4, 240)
    assert first[0] == "1 of 4 in round 1, 0 s: run 0"
    assert first[1] == "2 of 4 in round 1, 60 s so far, about 7 min left: run 1"
    assert a_round(runs, time, 4, 240)[3] == "4 of 4 in round 2, 7 min so far, about 60 s left: run 3"


@pytest.mark.parametrize(("a_round_takes", "rounds"), [(100, 5), (190, 3), (300, 2), (301, 1), (2000, 1)])
def test_rounds_are_begun_while_there_is_time_for_a_whole_one(
    progress: Any, time: Time, a_round_takes: float, rounds: int
) -> None:
    runs = progress(5, 10, 600.0)
    done = 0
    while runs.another_round():
        a_round(runs, time, 10, a_round_takes)
        done += 1
    assert done == rounds


def test_what_is_left_is_what_there_is_time_for(progress: Any, time: Time) -> None:
    runs = progress(5, 10, 600.0)
    assert "about 8 min left" in a_round(runs, time, 10, 190)[5]  # 3 rounds of 190 s, 95 s are over


def test_without_a_limit_all_rounds_are_run(progress: Any, time: Time) -> None:
    runs = progress(5, 10)
    done = 0
    while runs.another_round():
        a_round(runs, time, 10, 3_000)
        done += 1
    assert done == 5


def test_a_process_whose_broker_is_missing_is_not_counted(progress: Any, time: Time) -> None:
    runs = progress(1, 4)
    runs.left_out(2)
    assert runs.begin("one") == "1 of 2 in round 1, 0 s: one"
    runs.begin("two")
    assert not runs.another_round()
    runs = progress(1, 2)
    runs.left_out(2)
    assert not runs.any_runs
