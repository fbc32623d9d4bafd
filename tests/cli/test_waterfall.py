"""The drawing of a trace, on terminals of every width and with spans of every shape."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from mqtrace.cli.format import duration, printable
from mqtrace.cli.waterfall import Waterfall
from mqtrace.otlp.records import LinkRecord, SpanRecord
from mqtrace.otlp.trace import Trace

A = "a" * 32
MS = 1_000_000
NOW = 1_795_000_000_000 * MS


def drawn(trace: Trace, width: int = 100, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=stream, width=width)
    Waterfall(console).draw(trace)
    stream.seek(0)
    return [line.rstrip() for line in stream.read().splitlines()]


def request() -> Trace:
    trace = Trace(A)
    to = {"messaging.destination.name": "orders"}
    waited = {**to, "messaging.message.receive.latency": 40.0, "messaging.destination.partition.id": "3"}
    for span in (
        SpanRecord(A, "1" * 16, None, "POST /order", "server", NOW, NOW + 100 * MS, service="front"),
        SpanRecord(A, "2" * 16, "1" * 16, "send orders", "producer", NOW + 10 * MS, NOW + 12 * MS, to, service="front"),
        SpanRecord(
            A,
            "3" * 16,
            "2" * 16,
            "process orders",
            "consumer",
            NOW + 50 * MS,
            NOW + 100 * MS,
            waited,
            links=(LinkRecord(A, "2" * 16), LinkRecord("b" * 32, "9" * 16, {"messaging.kafka.offset": 0})),
            status="error",
            status_description="no credit",
            service="worker",
        ),
    ):
        trace.add(span)
    return trace


def test_a_request_on_a_narrow_terminal() -> None:
    assert drawn(request(), 80) == [
        "POST /order  front ────────────────────── 100 ms  3 spans  2 services  ✗ 1 error",
        f"{A}  2026-11-18 11:06:40.000 UTC",
        "operation            service part in queue  duration 0                    100 ms",
        "POST /order          front      ·        ·    100 ms ━━━━━━━━━━━━━━━━━━━━━━━━━━━",
        "└─ send orders       front      ·        ·    2.0 ms   ╺",
        "   └─ process orders worker     3  40.0 ms   50.0 ms   ┄┄┄┄┄┄┄┄┄┄┄╺━━━━━━━━━━━━━",
        "         ✗ no credit",
        f"         ↪ offset 0  trace {'b' * 32}  span {'9' * 13}…",
        "",
    ]


def test_the_destination_has_a_column_on_a_wide_one() -> None:
    lines = drawn(request(), 140)
    assert "destination" in lines[2]
    assert lines[4].startswith("└─ send  ")
    assert " orders " in lines[4]


def test_ascii_where_the_output_holds_nothing_else() -> None:
    lines = drawn(request(), 100, "ascii")
    assert lines[5].startswith("   `- process orders")
    assert "x no credit" in lines[6]


def test_only_the_first_links_of_many_are_drawn() -> None:
    trace = Trace(A)
    links = tuple(LinkRecord("b" * 32, f"{number + 1:016x}") for number in range(100))
    trace.add(SpanRecord(A, "1" * 16, name="ship", links=links, attributes={"messaging.batch.message_count": 100}))
    lines = drawn(trace)
    assert sum("↪" in line for line in lines) == 4
    assert any("96 links more" in line for line in lines)
    assert any("(batch of 100)" in line for line in lines)


TEXT = st.text(max_size=60)
NUMBERS = st.integers(0, 2**64 - 1)


@given(
    st.lists(
        st.builds(
            SpanRecord,
            trace_id=st.just(A),
            span_id=st.integers(1, 6).map(lambda number: f"{number:016x}"),
            parent_id=st.one_of(st.none(), st.integers(1, 8).map(lambda number: f"{number:016x}")),
            name=TEXT,
            kind=st.sampled_from(["producer", "consumer", "internal"]),
            start=NUMBERS,
            end=NUMBERS,
            attributes=st.dictionaries(
                st.sampled_from(
                    [
                        "messaging.destination.name",
                        "messaging.destination.partition.id",
                        "messaging.message.receive.latency",
                        "messaging.batch.message_count",
                        "messaging.kafka.message.tombstone",
                        "error.type",
                    ]
                ),
                st.one_of(TEXT, st.booleans(), st.integers(), st.floats(), st.none(), st.lists(st.integers())),
            ),
            links=st.lists(st.builds(LinkRecord, st.just("b" * 32), st.just("1" * 16)), max_size=6).map(tuple),
            status=st.sampled_from(["unset", "ok", "error"]),
            status_description=st.one_of(st.none(), TEXT),
            service=st.one_of(st.none(), TEXT),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(60, 200),
)
def test_any_trace_fits_the_terminal(spans: list[SpanRecord], width: int) -> None:
    trace = Trace(A)
    for span in spans:
        trace.add(span)
    for line in drawn(trace, width):
        assert cell_len(line) <= width
        assert line == printable(line)


@pytest.mark.parametrize(
    ("nanoseconds", "said"),
    [
        (0, "0 us"),
        (999_000, "999 us"),
        (1_500_000, "1.5 ms"),
        (250 * MS, "250 ms"),
        (1_500 * MS, "1.5 s"),
        (600_000 * MS, "10 min"),
        (36_000_000 * MS, "10 h"),
    ],
)
def test_durations_have_three_digits_and_a_unit(nanoseconds: int, said: str) -> None:
    assert duration(nanoseconds) == said
