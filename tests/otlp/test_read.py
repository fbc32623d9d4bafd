"""Reading OTLP from a topic: what opentelemetry-proto wrote is read alike, and nothing raises."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from mqtrace.otlp.read import OtlpReader
from mqtrace.otlp.records import KINDS, STATUSES

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
U64 = st.integers(0, 2**64 - 1)


def id_of(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).filter(any)


def any_values() -> st.SearchStrategy[AnyValue]:
    leaves: st.SearchStrategy[AnyValue] = st.one_of(
        st.builds(AnyValue),
        st.text().map(lambda v: AnyValue(string_value=v)),
        st.booleans().map(lambda v: AnyValue(bool_value=v)),
        st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
        st.floats(allow_nan=False).map(lambda v: AnyValue(double_value=v)),
        st.binary().map(lambda v: AnyValue(bytes_value=v)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda v: AnyValue(array_value=ArrayValue(values=v))),
            st.dictionaries(st.text(), inner, max_size=3).map(
                lambda v: AnyValue(kvlist_value=KeyValueList(values=pairs(v)))
            ),
        ),
        max_leaves=6,
    )


def pairs(values: dict[str, AnyValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value) for key, value in values.items()]


ATTRIBUTES = st.dictionaries(st.text(), any_values(), max_size=4).map(pairs)
SPANS = st.builds(
    Span,
    trace_id=id_of(16),
    span_id=id_of(8),
    parent_span_id=st.one_of(st.just(b""), id_of(8)),
    trace_state=st.text(),
    flags=st.integers(0, 2**32 - 1),
    name=st.text(),
    kind=st.integers(0, 5),
    start_time_unix_nano=U64,
    end_time_unix_nano=U64,
    attributes=ATTRIBUTES,
    dropped_attributes_count=st.integers(0, 9),
    events=st.lists(st.builds(Span.Event, time_unix_nano=U64, name=st.text(), attributes=ATTRIBUTES), max_size=2),
    links=st.lists(
        st.builds(Span.Link, trace_id=id_of(16), span_id=id_of(8), trace_state=st.text(), attributes=ATTRIBUTES),
        max_size=2,
    ),
    status=st.builds(Status, message=st.text(), code=st.integers(0, 2)),
)


def plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
        case name:
            return getattr(value, name)


def mapping(attributes: Any) -> dict[str, Any]:
    return {pair.key: plain(pair.value) for pair in attributes}


def traces(spans: list[Span], service: str = "shop") -> TracesData:
    resource = Resource(attributes=pairs({"service.name": AnyValue(string_value=service)}))
    return TracesData(resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])])


@given(st.lists(SPANS, max_size=3), st.text(min_size=1))
def test_reads_every_field_as_protobuf_does(spans: list[Span], service: str) -> None:
    reader = OtlpReader()
    read = reader.read(traces(spans, service).SerializeToString())
    assert (reader.messages_malformed, reader.spans_malformed) == (0, 0)
    assert len(read) == len(spans) == reader.spans
    for ours, theirs in zip(read, spans, strict=True):
        assert (ours.trace_id, ours.span_id) == (theirs.trace_id.hex(), theirs.span_id.hex())
        assert (ours.parent_id or "") == theirs.parent_span_id.hex()
        assert (ours.name, ours.kind, ours.service) == (theirs.name, KINDS[theirs.kind], service)
        assert (ours.start, ours.end) == (theirs.start_time_unix_nano, theirs.end_time_unix_nano)
        assert ours.attributes == mapping(theirs.attributes)
        assert [(event.name, event.timestamp, event.attributes) for event in ours.events] == [
            (event.name, event.time_unix_nano, mapping(event.attributes)) for event in theirs.events
        ]
        assert [(link.trace_id, link.span_id, link.attributes) for link in ours.links] == [
            (link.trace_id.hex(), link.span_id.hex(), mapping(link.attributes)) for link in theirs.links
        ]
        assert (ours.status, ours.status_description or "") == (STATUSES[theirs.status.code], theirs.status.message)
        assert (ours.trace_state or "") == theirs.trace_state


def json_value(value: AnyValue) -> dict[str, Any]:
    """As the OTLP specification writes a value: what protobuf's own JSON does, but for the int64 that are text."""
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "double_value":
            return {"doubleValue": value.double_value}
        case "array_value":
            return {"arrayValue": {"values": [json_value(item) for item in value.array_value.values]}}
        case "kvlist_value":
            return {"kvlistValue": {"values": json_attributes(value.kvlist_value.values)}}
        case _:
            return {}


def json_attributes(attributes: Any) -> list[dict[str, Any]]:
    return [{"key": pair.key, "value": json_value(pair.value)} for pair in attributes]


@given(st.lists(SPANS.filter(lambda span: b"bytes_value" not in str(span).encode()), max_size=3))
def test_json_and_protobuf_read_alike(spans: list[Span]) -> None:
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": span.trace_id.hex().upper(),
                                "spanId": span.span_id.hex(),
                                "parentSpanId": span.parent_span_id.hex(),
                                "traceState": span.trace_state,
                                "name": span.name,
                                "kind": span.kind,
                                "startTimeUnixNano": str(span.start_time_unix_nano),
                                "endTimeUnixNano": span.end_time_unix_nano,
                                "attributes": json_attributes(span.attributes),
                                "events": [
                                    {
                                        "name": event.name,
                                        "timeUnixNano": str(event.time_unix_nano),
                                        "attributes": json_attributes(event.attributes),
                                    }
                                    for event in span.events
                                ],
                                "links": [
                                    {
                                        "traceId": link.trace_id.hex(),
                                        "spanId": link.span_id.hex(),
                                        "attributes": json_attributes(link.attributes),
                                    }
                                    for link in span.links
                                ],
                                "status": {"code": span.status.code, "message": span.status.message},
                            }
                            for span in spans
                        ]
                    }
                ],
            }
        ]
    }
    reader = OtlpReader()
    assert reader.read(b" \n" + json.dumps(body).encode()) == OtlpReader().read(traces(spans).SerializeToString())
    assert reader.messages_malformed == 0


def test_enums_of_json_may_be_names() -> None:
    span = {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "kind": "SPAN_KIND_CONSUMER",
        "status": {"code": "STATUS_CODE_ERROR"},
    }
    (read,) = OtlpReader().read(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode())
    assert (read.kind, read.status, read.service) == ("consumer", "error", None)


@given(st.binary())
@example(b"\n{" + bytes(121))
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"{" * 100_000)
def test_garbage_is_counted_and_never_raises(payload: bytes) -> None:
    reader = OtlpReader()
    assert isinstance(reader.read(payload), list)
    assert reader.messages == 1


@given(st.lists(SPANS, min_size=1, max_size=2), st.data())
def test_damaged_messages_never_raise(spans: list[Span], data: st.DataObject) -> None:
    payload = bytearray(traces(spans).SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    OtlpReader().read(bytes(payload))
    OtlpReader().read(bytes(payload[: data.draw(st.integers(0, len(payload)))]))


MEMBERS = [
    "resource",
    "scope",
    "name",
    "scopeSpans",
    "spans",
    "attributes",
    "key",
    "value",
    "events",
    "links",
    "traceId",
    "spanId",
    "kind",
    "status",
    "code",
    "startTimeUnixNano",
    "intValue",
    "doubleValue",
    "arrayValue",
    "kvlistValue",
    "values",
    "bytesValue",
    "stringValue",
    "message",
    "parentSpanId",
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=5,
        ),
    ),
)


@given(st.lists(JSON, max_size=3), JSON)
def test_json_of_any_shape_never_raises(resource_spans: list[Any], span: Any) -> None:
    OtlpReader().read(json.dumps({"resourceSpans": resource_spans}).encode())
    named = {"traceId": TRACE_ID, "spanId": SPAN_ID, **(span if isinstance(span, dict) else {"attributes": span})}
    OtlpReader().read(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [named]}]}]}).encode())


@pytest.mark.parametrize(
    "payload", [None, b"hello", b"[]", b'[{"traceId": "1"}]', b"{}", b'{"resourceSpans": 1}', b"\x12\x00", b"\x0a\x05"]
)
def test_what_is_no_otlp_is_malformed(payload: bytes | None) -> None:
    reader = OtlpReader()
    assert reader.read(payload) == []
    assert reader.messages_malformed == 1


def test_an_empty_message_is_good() -> None:
    reader = OtlpReader()
    assert reader.read(b"") == []
    assert reader.messages_malformed == 0


@pytest.mark.parametrize(("trace_id", "span_id"), [(b"", b"1" * 8), (b"1" * 8, b"1" * 8), (bytes(16), b"1" * 8)])
def test_a_span_without_an_id_costs_only_itself(trace_id: bytes, span_id: bytes) -> None:
    good = Span(trace_id=b"2" * 16, span_id=b"3" * 8)
    reader = OtlpReader()
    read = reader.read(traces([Span(trace_id=trace_id, span_id=span_id), good]).SerializeToString())
    assert [span.trace_id for span in read] == [(b"2" * 16).hex()]
    assert reader.spans_malformed == 1


def test_text_that_is_not_unicode_is_replaced() -> None:
    span = traces([Span(trace_id=b"1" * 16, span_id=b"2" * 8, name="AAAA")]).SerializeToString()
    (read,) = OtlpReader().read(span.replace(b"AAAA", b"A\xff\xfeA"))
    assert read.name == "A��A"


def test_values_nested_without_end_do_not_exhaust_the_stack() -> None:
    body = b""
    for _ in range(2_000):
        inner = b"\x0a" + _length(body) + body
        body = b"\x2a" + _length(inner) + inner
    span = b"\x0a\x10" + b"1" * 16 + b"\x12\x08" + b"2" * 8
    pair = b"\x0a\x01a\x12" + _length(body) + body
    span += b"\x4a" + _length(pair) + pair
    for tag in (b"\x12", b"\x12", b"\x0a"):
        span = tag + _length(span) + span
    reader = OtlpReader()
    assert reader.read(span) == []
    assert reader.messages_malformed == 1


def _length(body: bytes) -> bytes:
    size, out = len(body), bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes([*out, size])


def test_unknown_fields_are_skipped() -> None:
    unknown = b"\xa0\x06\x01" + b"\xa5\x06" + bytes(4) + b"\xa1\x06" + struct.pack("<d", 1.5) + b"\xa2\x06\x01z"
    body = unknown + Span(trace_id=b"1" * 16, span_id=b"2" * 8, name="x").SerializeToString()
    for tag in (b"\x12", b"\x12", b"\x0a"):
        body = unknown + tag + _length(body) + body
    (read,) = OtlpReader().read(body)
    assert read.name == "x"
