"""A trace as a tree, whatever its spans say of their parents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.otlp.records import EventRecord, LinkRecord, SpanRecord
from mqtrace.otlp.trace import Trace, as_json

A, B = "a" * 32, "b" * 32


def trace_of(*parents: int | None) -> Trace:
    """Spans 0, 1, 2 ... with these parents."""
    trace = Trace(A)
    for number, parent in enumerate(parents):
        parent_id = None if parent is None else f"{parent:016x}"
        trace.add(SpanRecord(A, f"{number:016x}", parent_id, str(number), start=number * 10**6, end=10**8))
    return trace


def drawn(trace: Trace) -> list[tuple[str, tuple[bool, ...]]]:
    return [(row.span.name, row.last) for row in trace.rows()]


def test_parents_stand_before_children_and_siblings_by_their_start() -> None:
    assert drawn(trace_of(None, 0, 0, 1)) == [("0", ()), ("1", (False,)), ("3", (False, True)), ("2", (True,))]


def test_spans_without_their_parent_are_roots_that_say_so() -> None:
    trace = trace_of(None, 7)
    assert [(row.span.name, row.orphan) for row in trace.rows()] == [("0", False), ("1", True)]
    assert not trace.is_whole


def test_a_ring_of_parents_is_drawn_once() -> None:
    assert [name for name, _ in drawn(trace_of(1, 0))] == ["0", "1"]
    assert [name for name, _ in drawn(trace_of(0))] == ["0"]


@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=1, max_size=12))
def test_every_span_is_drawn_exactly_once(parents: list[int | None]) -> None:
    trace = trace_of(*parents)
    assert sorted(int(row.span.name) for row in trace.rows()) == list(range(len(parents)))


def test_a_chain_of_thousands_is_no_recursion() -> None:
    trace = trace_of(None, *range(3000))
    assert len(list(trace.rows())) == 3001


def test_time_in_queue_is_the_writer_s_or_else_from_the_send() -> None:
    trace = Trace(A)
    send = SpanRecord(A, "1" * 16, None, kind="producer", start=1_000_000, end=1_500_000)
    other = SpanRecord(A, "2" * 16, "1" * 16, kind="consumer", start=9_000_000, end=9_500_000)
    early = SpanRecord(A, "3" * 16, "1" * 16, kind="consumer", start=500_000, end=9_500_000)
    ours = SpanRecord(
        A, "4" * 16, "1" * 16, kind="consumer", start=9_000_000, attributes={"messaging.message.receive.latency": 2.5}
    )
    for span in (send, other, early, ours):
        trace.add(span)
    assert trace.queued(send) is None
    assert trace.queued(other) == (8.0, False)
    assert trace.queued(early) == (0.0, False), "a clock that is behind gives no negative time"
    assert trace.queued(ours) == (2.5, True)


@pytest.mark.parametrize("value", [1e308, 10**400, -1.0, float("nan"), float("inf"), "2.5", True])
def test_a_time_in_queue_that_cannot_be_is_none(value: Any) -> None:
    span = SpanRecord(A, B, kind="consumer", attributes={"messaging.message.receive.latency": value})
    assert span.latency is None


def test_the_error_of_a_span_is_its_exception_s() -> None:
    event = EventRecord("exception", 1, {"exception.type": "shop.Refused", "exception.message": "no credit"})
    assert SpanRecord(A, B, status="error", events=(event,)).error == "Refused: no credit"
    assert SpanRecord(A, B, status="error", status_description="Refused: no").error == "Refused: no"
    assert SpanRecord(A, B, status="error", attributes={"error.type": "_TIMED_OUT"}).error == "_TIMED_OUT"
    assert SpanRecord(A, B, status="error").error == "error"
    assert SpanRecord(A, B, status="ok", events=(event,)).error is None


def test_json_holds_every_kind_of_value() -> None:
    trace = Trace(A)
    values = {"bytes": b"\x01", "nan": float("nan"), "inf": float("-inf"), "list": [1, {"a": b"\xff"}], "none": None}
    link = LinkRecord(B, "2" * 16, {"messaging.kafka.offset": 0})
    trace.add(SpanRecord(A, "1" * 16, attributes=values, links=(link,)))
    read = json.loads(json.dumps(as_json(trace), allow_nan=False))
    (span,) = read["spans"]
    assert span["attributes"] == {
        "bytes": "01",
        "nan": "nan",
        "inf": "-inf",
        "list": [1, {"a": "ff"}],
        "none": None,
    }
    assert span["links"] == [{"trace_id": B, "span_id": "2" * 16, "attributes": {"messaging.kafka.offset": 0}}]
    assert read["whole"] is True
