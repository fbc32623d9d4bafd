"""When a trace is taken for complete, and what is remembered."""

from __future__ import annotations

from mqtrace.cli.assemble import Assembler
from mqtrace.otlp.records import LinkRecord, SpanRecord

A, B = "a" * 32, "b" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def span(trace_id: str, number: int, parent: int | None = None, links: tuple[LinkRecord, ...] = ()) -> SpanRecord:
    parent_id = None if parent is None else f"{parent:016x}"
    return SpanRecord(trace_id, f"{number:016x}", parent_id, f"s{number}", start=number, end=number + 1, links=links)


def test_a_trace_with_a_root_is_complete_after_a_quiet_while() -> None:
    clock = Clock()
    assembler = Assembler(2.0, clock=clock)
    assembler.add(span(A, 2, parent=1))
    assembler.add(span(A, 1))
    clock.now += 1.9
    assert assembler.due() == []
    clock.now += 0.2
    (trace,) = assembler.due()
    assert trace.is_whole
    assert assembler.due() == []


def test_each_arrival_starts_the_wait_again() -> None:
    clock = Clock()
    assembler = Assembler(2.0, clock=clock)
    assembler.add(span(A, 1))
    clock.now += 1.5
    assembler.add(span(A, 2, parent=1))
    clock.now += 1.5
    assert assembler.due() == []
    clock.now += 1
    assert len(assembler.due()[0].spans) == 2


def test_a_trace_whose_root_stays_away_is_given_out_later() -> None:
    clock = Clock()
    assembler = Assembler(2.0, 10.0, clock=clock)
    assembler.add(span(A, 2, parent=1))
    assembler.add(span(B, 1))
    clock.now += 3
    assert [trace.trace_id for trace in assembler.due()] == [B]
    clock.now += 7
    (trace,) = assembler.due()
    assert trace.root is None
    assert not trace.is_whole
    assert trace.first.name == "s2"


def test_what_comes_late_gives_the_trace_out_again() -> None:
    clock = Clock()
    assembler = Assembler(2.0, clock=clock)
    assembler.add(span(A, 1))
    clock.now += 3
    assert [trace.late for trace in assembler.due()] == [False]
    assembler.add(span(A, 2, parent=1))
    clock.now += 3
    (trace,) = assembler.due()
    assert trace.late
    assert len(trace.spans) == 2


def test_a_batch_is_a_trace_and_a_guest_of_those_it_links_to() -> None:
    clock = Clock()
    assembler = Assembler(2.0, clock=clock)
    assembler.add(span(B, 9, links=(LinkRecord(A, f"{1:016x}"), LinkRecord("c" * 32, f"{1:016x}"))))
    assembler.add(span(A, 1))
    clock.now += 3
    first, batch = assembler.due()
    assert [(row.span.name, row.guest) for row in first.rows()] == [("s1", False), ("s9", True)]
    assert [row.span.name for row in batch.rows()] == ["s9"]
    clock.now += 100
    assert assembler.due() == [], "a trace of which only the link is known is not drawn"


def test_a_link_to_a_trace_that_was_given_out_does_not_give_it_out_again() -> None:
    clock = Clock()
    assembler = Assembler(2.0, clock=clock)
    assembler.add(span(A, 1))
    clock.now += 3
    assembler.due()
    assembler.add(span(B, 9, links=(LinkRecord(A, f"{1:016x}"),)))
    clock.now += 3
    assert [trace.trace_id for trace in assembler.due()] == [B]


def test_the_number_of_open_traces_is_bounded() -> None:
    assembler = Assembler(2.0, clock=Clock(), most_open=10)
    for number in range(15):
        assembler.add(span(f"{number + 1:032x}", 1))
    assert [trace.trace_id for trace in assembler.due()] == [f"{number:032x}" for number in range(1, 6)]
    assert len(assembler.rest()) == 10
    assert assembler.rest() == []
