"""Rows of columns are what the records say, for the same bytes: differential, with bytes that are no spans as well."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from mqtrace.otlp import columns as layout
from mqtrace.otlp.columns import ATTRIBUTES, COLUMNS, LEGACY, Columns
from mqtrace.otlp.columns_read import ColumnReader
from mqtrace.otlp.columns_record import add, as_mapping, record
from mqtrace.otlp.columns_value import MOST_TEXT, json_value, threshold
from mqtrace.otlp.read import OtlpReader
from mqtrace.otlp.records import EventRecord, LinkRecord, SpanRecord

_IDS = st.sampled_from([b"", b"\0" * 16, b"\x01" * 16, b"\x02" * 8, b"\0" * 8, bytes(range(16)), bytes(range(8))])
_KEYS = st.sampled_from([*ATTRIBUTES, *LEGACY, "", "order.id", "k" * 600, "\0\x1b[31m"])
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300)


def _any_value(depth: int = 2) -> st.SearchStrategy[AnyValue]:
    found = (
        st.text(max_size=8).map(lambda text: AnyValue(string_value=text))
        | st.sampled_from(["send", "publish", "17", "orders", "12.5"]).map(lambda text: AnyValue(string_value=text))
        | st.booleans().map(lambda flag: AnyValue(bool_value=flag))
        | _NUMBERS.map(lambda number: AnyValue(int_value=number))
        | st.floats().map(lambda number: AnyValue(double_value=number))
        | st.binary(max_size=4).map(lambda data: AnyValue(bytes_value=data))
        | st.just(AnyValue())
    )
    if depth:
        inner = st.lists(_any_value(depth - 1), max_size=2)
        found |= inner.map(lambda values: AnyValue(array_value=ArrayValue(values=values)))
        found |= inner.map(
            lambda values: AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=v) for v in values]))
        )
    return found


_ATTRIBUTES = st.lists(st.builds(KeyValue, key=_KEYS, value=_any_value()), max_size=5)
_LINKS = st.builds(Span.Link, trace_id=_IDS, span_id=_IDS, attributes=_ATTRIBUTES, flags=st.integers(0, 3))
_EVENTS = st.builds(Span.Event, name=st.text(max_size=4), time_unix_nano=st.integers(0, 2**64 - 1))
_SPANS = st.builds(
    Span,
    trace_id=_IDS | st.binary(min_size=16, max_size=16),
    span_id=_IDS | st.binary(min_size=8, max_size=8),
    parent_span_id=_IDS,
    name=st.text(max_size=6),
    kind=st.integers(0, 5),
    start_time_unix_nano=st.integers(0, 2**64 - 1),
    end_time_unix_nano=st.integers(0, 2**64 - 1),
    trace_state=st.sampled_from(["", "ot=th:8", "mqtrace=t:1796057701500,ot=rv:00000000000001;th:c", "a=b"]),
    attributes=_ATTRIBUTES,
    links=st.lists(_LINKS, max_size=3),
    events=st.lists(_EVENTS, max_size=2),
    status=st.builds(Status, code=st.integers(0, 2), message=st.text(max_size=3)),
    flags=st.integers(0, 0x3FF),
)


@st.composite
def _traces(draw: st.DrawFn) -> bytes:
    data = TracesData()
    for _ in range(draw(st.integers(0, 2))):
        resource = data.resource_spans.add()
        if draw(st.booleans()):
            resource.resource.attributes.add(key="service.name", value=draw(_any_value(0)))
        scope = resource.scope_spans.add()
        scope.scope.name = draw(st.sampled_from(["", "mqtrace"]))
        scope.spans.extend(draw(st.lists(_SPANS, max_size=3)))
    return bytes(data.SerializeToString())


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(_traces()))
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at:]
            case 2:
                del data[at]
            case _:
                data[at:at] = draw(st.binary(max_size=3))
    return bytes(data)


def _expected(spans: Sequence[SpanRecord]) -> Columns:
    columns = Columns()
    for span in spans:
        add(span, columns)
    return columns


def _parsed(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows, with the last column's JSON read: the order of its members says nothing. repr tells 1 from 1.0."""
    return [[*map(repr, row[:-1]), repr(_sorted(json.loads(row[-1])) if row[-1] else None)] for row in rows]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _same(payload: bytes | None) -> Columns:
    records, rows = OtlpReader(), ColumnReader()
    # Twice, since the second time what was seen before is known.
    for _ in range(2):
        expected, found = _expected(records.read(payload)), rows.read(payload)
        assert _parsed(found.rows) == _parsed(expected.rows)
        assert _parsed(found.links) == _parsed(expected.links)
    for name in ("messages", "messages_malformed", "spans", "spans_malformed"):
        assert getattr(rows, name) == getattr(records, name), name
    return found


@settings(max_examples=300, deadline=None)
@given(_traces())
def test_rows_say_what_the_records_say(payload: bytes) -> None:
    _same(payload)


@settings(max_examples=500, deadline=None)
@given(_damaged() | st.binary(max_size=40))
def test_what_is_malformed_to_one_reader_is_to_the_other(payload: bytes) -> None:
    _same(payload)


@pytest.mark.parametrize(
    "payload", [None, b"", b"{}", b"\x0a", b"{" * 123, b'{"resourceSpans": []}', b"\x0a\x00", b"\n{"]
)
def test_what_holds_no_spans_is_counted_alike(payload: bytes | None) -> None:
    _same(payload)


def _span(**facts: Any) -> SpanRecord:
    return SpanRecord("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", **facts)


def _row(span: SpanRecord) -> dict[str, Any]:
    (row,) = _expected([span]).rows
    return as_mapping(row)


_VALUES = st.text(max_size=5) | st.booleans() | _NUMBERS | st.floats(allow_nan=False) | st.lists(st.text(max_size=2))
_HEX = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
_TRACE_IDS = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
_RECORDS = st.builds(
    SpanRecord,
    st.just("0af7651916cd43dd8448eb211c80319c"),
    st.just("b7ad6b7169203331"),
    parent_id=st.none() | st.just("00f067aa0ba902b7") | _HEX,
    name=st.text(max_size=5),
    kind=st.sampled_from(["internal", "server", "client", "producer", "consumer"]),
    start=st.integers(0, 2**62),
    end=st.integers(0, 2**62),
    attributes=st.dictionaries(_KEYS, _VALUES, max_size=6),
    events=st.lists(st.builds(EventRecord, st.text(max_size=3), st.integers(0, 2**63)), max_size=2).map(tuple),
    links=st.lists(
        st.builds(
            LinkRecord,
            st.just("0af7651916cd43dd8448eb211c80319c") | _TRACE_IDS,
            st.just("00f067aa0ba902b7") | _HEX,
            st.dictionaries(_KEYS, _VALUES, max_size=2),
        ),
        max_size=3,
    ).map(tuple),
    status=st.sampled_from(["unset", "ok", "error"]),
    status_description=st.none() | st.text(min_size=1, max_size=4),
    trace_state=st.none() | st.just("ot=th:8"),
    service=st.none() | st.text(max_size=4),
    scope=st.none() | st.text(min_size=1, max_size=4),
)


@settings(max_examples=400, deadline=None)
@given(_RECORDS)
def test_a_row_gives_its_span_back(span: SpanRecord) -> None:
    columns = _expected([span])
    (row,) = columns.rows
    links = [dict(zip(layout.LINK_COLUMNS, link, strict=True)) for link in columns.links]
    back = record(as_mapping(row), links)
    assert back.attributes == json_value(span.attributes)
    for name in ("trace_id", "span_id", "parent_id", "name", "kind", "start", "end", "events", "status", "service"):
        assert getattr(back, name) == getattr(span, name), name
    assert (back.status_description, back.trace_state, back.scope) == (
        span.status_description,
        span.trace_state,
        span.scope,
    )
    assert [(link.trace_id, link.span_id, link.attributes) for link in back.links] == [
        (link.trace_id, link.span_id, json_value(link.attributes)) for link in span.links
    ]


def test_what_differs_from_span_to_span_is_not_in_the_rest() -> None:
    attributes = {"messaging.kafka.offset": 7, "messaging.message.receive.latency": 1.5, "messaging.message.id": "x"}
    row = _row(_span(kind="consumer", attributes={**attributes, "messaging.operation.name": "process"}))
    assert (row["pos"], row["latency_ms"], row["message_id"]) == (7, 1.5, "x")
    assert json.loads(row["rest"]) == {"a": {"messaging.operation.name": "process"}}


def test_older_names_are_read_where_no_newer_one_is() -> None:
    older = {
        "messaging.operation": "publish",
        "messaging.destination": "orders",
        "messaging.kafka.partition": 3,
        "messaging.kafka.message.offset": 12,
        "messaging.kafka.consumer.group": "g",
    }
    row = _row(_span(attributes=older))
    assert [row[name] for name in ("operation", "destination", "part", "pos", "consumer_group")] == [
        "send", "orders", "3", 12, "g",
    ]  # fmt: skip
    row = _row(_span(attributes={**older, "messaging.destination.name": "payments"}))
    assert row["destination"] == "payments"


_M = LinkRecord("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
_OWN = LinkRecord("0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7")


@pytest.mark.parametrize(
    ("facts", "role", "message"),
    [
        ({"kind": "producer"}, layout.SENT, None),
        ({"kind": "client", "links": (_M,), "attributes": {"messaging.operation.type": "send"}}, layout.SENT, _M),
        ({"kind": "client", "links": (_M, _M), "attributes": {"messaging.operation.type": "send"}}, 0, None),
        ({"kind": "client", "links": (_M,), "attributes": {"messaging.operation.type": "settle"}}, 0, None),
        ({"kind": "client", "attributes": {"messaging.operation.type": "send"}}, 0, None),
        ({"kind": "consumer", "parent_id": "00f067aa0ba902b7", "links": (_OWN,)}, layout.RECEIVED, None),
        ({"kind": "consumer", "parent_id": "00f067aa0ba902b7", "links": (_OWN, _M)}, layout.RECEIVED, None),
        ({"kind": "consumer", "parent_id": "00f067aa0ba902b7"}, layout.RECEIVED, None),
        ({"kind": "consumer", "links": (_M,)}, layout.RECEIVED, _M),
        ({"kind": "consumer", "parent_id": "00f067aa0ba902b8", "links": (_M,)}, layout.RECEIVED, _M),
        ({"kind": "consumer", "links": (_M, _OWN)}, layout.RECEIVED_MANY, None),
        ({"kind": "consumer", "links": (_M,), "attributes": {"messaging.batch.message_count": 1}}, 3, None),
        ({"kind": "consumer"}, layout.NO_ROLE, None),
        ({"kind": "server", "links": (_M,)}, layout.NO_ROLE, None),
    ],
)
def test_a_span_says_what_it_is_to_which_message(facts: dict[str, Any], role: int, message: LinkRecord | None) -> None:
    row = _row(_span(**facts))
    assert row["role"] == role
    told = None if row["m_lo"] is None else f"{row['m_hi']:016x}{row['m_lo']:016x}"
    assert told == (None if message is None else message.trace_id)


def test_the_link_to_an_attempt_before_is_no_message() -> None:
    before = LinkRecord(_M.trace_id, "00000000000000aa", {"celery.retries": 0})
    row = _row(_span(kind="consumer", links=(_M, before)))
    assert (row["role"], row["m_span"]) == (layout.RECEIVED, 0x00F067AA0BA902B7)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("ot=th:8", 0x80000000000000),
        ("ot=th:0", 0),
        ("a=b,ot=rv:00000000000001;th:c", 0xC0000000000000),
        ("not=th:8", None),
        ("ot=xth:8", None),
        ("ot=th:", None),
        ("ot=th:123456789abcdef", None),
    ],
)
def test_the_threshold_of_a_sampler_is_read(state: str, said: int | None) -> None:
    assert threshold(state) == said


def test_a_huge_attribute_is_cut_and_says_so() -> None:
    data = TracesData()
    span = data.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    span.attributes.add(key="body", value=AnyValue(string_value="x" * 10_000_000))
    span.attributes.add(key="list", value=AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)] * 100_000)))
    (row,) = _same(data.SerializeToString()).rows
    kept = json.loads(as_mapping(row)["rest"])["a"]
    assert len(kept["body"]) <= MOST_TEXT
    assert kept["body"].endswith("x... (cut at 64 KB)")
    assert kept["list"].endswith("... (cut at 64 KB)")


def test_a_thousand_events_of_a_megabyte_are_cut_and_say_so() -> None:
    data = TracesData()
    span = data.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    for _ in range(1_000):
        span.events.add(name="x" * 10_000)
    (row,) = _same(data.SerializeToString()).rows
    text = as_mapping(row)["rest"]
    assert len(text) < 1_200_000
    assert "of 1000 events were cut" in json.loads(text)["e"][-1]["n"]


def test_an_enum_that_is_written_long_is_read_as_the_records_do() -> None:
    long_kind = b"\x30\x85\x00"  # 5 in two bytes
    body = b"\x0a\x10" + b"\1" * 16 + b"\x12\x08" + b"\2" * 8 + long_kind + b"\x39" + struct.pack("<Q", 5)
    scope = b"\x12" + bytes((len(body),)) + body
    resource = b"\x12" + bytes((len(scope),)) + scope
    (row,) = _same(b"\x0a" + bytes((len(resource),)) + resource).rows
    assert as_mapping(row)["kind"] == 5


def test_every_column_is_in_a_row() -> None:
    (row,) = _expected([_span()]).rows
    assert len(row) == len(COLUMNS)
