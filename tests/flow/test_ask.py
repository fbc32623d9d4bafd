"""Questions by name: parameters as text, and one sentence where they are wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

import pytest

from mqtrace.flow import AskError, Source, answer
from mqtrace.flow.ask import QUESTIONS, moment_ns, scope_of, seconds
from mqtrace.flow.fake import Fake
from mqtrace.flow.scope import literal

_TRACE = Fake()._traces[0]["trace_id"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered_with_json(question: str) -> None:
    source: Source = Fake(hostile=True)
    found = answer(source, question, {"id": [_TRACE]})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - {"state", "map", "trace"}))
def test_an_empty_source_answers_with_no_rows(question: str) -> None:
    assert answer(Fake(services=0), question, {}) == []


@pytest.mark.parametrize(
    ("question", "parameters", "told"),
    [
        ("lost", {}, "there is no question 'lost'"),
        ("map", {"last": ["soon"]}, "'soon' is not a duration"),
        ("map", {"last": ["-1"]}, "'-1' is not a duration"),
        ("map", {"last": ["1h"], "from": ["2026-01-01"]}, "exclude each other"),
        ("map", {"from": ["yesterday"]}, "'yesterday' is not a time"),
        ("traces", {"limit": ["0"]}, "from 1 to 1000"),
        ("traces", {"limit": ["1001"]}, "from 1 to 1000"),
        ("traces", {"limit": ["\u0661"]}, "from 1 to 1000"),
        ("traces", {"order": ["oldest"]}, "write newest or slowest"),
        ("traces", {"attribute": ["=x"]}, "write key=value"),
        ("trace", {"id": ["0" * 32]}, "is not a trace id"),
        ("trace", {}, "is not a trace id"),
        ("missing", {"last": ["0"]}, "'0' is not a duration"),
        ("missing", {"after": ["-1s"]}, "'-1s' is not a duration"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(question: str, parameters: Mapping[str, Sequence[str]], told: str) -> None:
    with pytest.raises(AskError, match=told):
        answer(Fake(), question, parameters)


def test_durations_have_units() -> None:
    assert [seconds(text) for text in ("90", "90s", "15m", "1h", "2d", "500ms", "1.5h")] == [
        90, 90, 900, 3600, 172800, 0.5, 5400,
    ]  # fmt: skip


def test_times_are_utc_where_no_zone_is_said() -> None:
    assert moment_ns("2026-11-29T16:55:01.5") == moment_ns("2026-11-29T17:55:01.5+01:00") == 1795971301_500000000
    assert moment_ns("2026-11-29") == 1795910400 * 10**9
    assert moment_ns("1795971301500000001") == 1795971301500000001


def test_without_a_window_the_source_s_own_holds() -> None:
    now = time.time_ns()
    scope = scope_of(Fake(), {})
    assert scope.from_ns is not None
    assert 3600 <= (time.time_ns() - scope.from_ns) / 1e9 < 3660
    assert now - scope.from_ns < 3600 * 10**9 + 10**9
    assert scope_of(Fake(changes={"window_s": None}), {}).from_ns is None


def test_a_window_from_the_epoch_on_is_all_there_is() -> None:
    assert scope_of(Fake(), {"from": ["0000000000000000"]}).from_ns is None
    assert scope_of(Fake(), {"from": ["0000000000000001"]}).from_ns == 1


def test_filters_are_patterns_and_literal_names_match_themselves() -> None:
    rows = answer(Fake(), "flow", {"service": ["pay*"]})
    assert rows
    assert all("payments" in (row["sender"], row["receiver"]) for row in rows)
    assert literal("a*b?[c]") == "a[*]b[?][[]c]"
