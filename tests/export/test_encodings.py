"""OTLP in protobuf and JSON against opentelemetry-proto, and Zipkin's JSON against Zipkin's rules."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped,unused-ignore]  # its stubs are a package apart
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core
from mqtrace.otlp import write_json as otlp_json
from mqtrace.otlp import zipkin
from mqtrace.version import VERSION

_HEX = "0123456789abcdef"
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def _identity(draw: Any) -> bytes:
    trace = draw(st.text(_HEX, min_size=32, max_size=32).filter(lambda text: set(text) != {"0"}))
    span = draw(st.text(_HEX, min_size=16, max_size=16).filter(lambda text: set(text) != {"0"}))
    return f"00-{trace}-{span}-0{draw(st.sampled_from('13'))}".encode()


# lone surrogates too: they are no Unicode, and a user's text may hold them
texts = st.text(st.characters(codec=None), max_size=40)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False) | st.just(math.nan),  # JSON has one NaN, not 2**53
    st.binary(max_size=300),
)
values = st.one_of(scalars, st.lists(scalars, max_size=5).map(tuple))
attributes = st.dictionaries(texts.filter(bool), values, max_size=6)
times = st.integers(1, (1 << 63) - 1)


@st.composite
def contexts(draw: Any) -> core.Context:
    return core.Context(_identity(draw), draw(st.sampled_from([None, "a=b", "ot=th:c,x=y"])))


@st.composite
def spans_of(draw: Any, maker: Any) -> core.Span:
    """A finished span of any class, with anything on it."""
    template = maker.template(draw(texts), draw(st.sampled_from(list(_KINDS))), draw(attributes))
    parent = draw(st.one_of(st.none(), contexts()))
    if parent is not None:
        parent = parent.replace(identity=parent.identity[:53] + b"03")
    offsets = st.one_of(st.just(-1), st.integers(0, (1 << 63) - 1))
    kind = draw(st.sampled_from(["span", "send", "process", "batch"]))
    span: Any
    if kind == "process":
        context = parent or core.Context()
        args = (template, context.identity, context.state, None)
        span = core.start_process(*args, draw(st.integers(-1, 5000)), draw(offsets), draw(st.integers(-1, 1 << 43)))
    else:
        classes: dict[str, type[core.Span]] = {"span": core.Span, "send": core.SendSpan, "batch": core.BatchSpan}
        span = core.start(template, parent, classes[kind])
        if kind == "send":
            span.partition, span.offset = draw(st.integers(-1, 5000)), draw(offsets)
        elif kind == "batch":
            span.origins = [
                (draw(contexts()).identity, draw(st.integers(-1, 9)), draw(offsets), draw(st.none() | attributes))
                for _ in range(draw(st.integers(0, 3)))
            ]
    assert isinstance(span, core.Span)
    for _ in range(draw(st.integers(0, 2))):
        span.set_attributes(draw(attributes))
    template.pipeline.limits = core.Limits(
        event_attributes=draw(st.integers(0, 4)), link_attributes=draw(st.integers(0, 4))
    )
    for _ in range(draw(st.integers(0, 2))):
        span.add_event(draw(texts), draw(attributes), draw(times))
    for _ in range(draw(st.integers(0, 2))):
        span.add_link(draw(st.one_of(contexts(), st.just(span))), draw(attributes))
    span.set_status(draw(st.sampled_from(["unset", "ok", "error"])), draw(st.none() | texts))
    span.end()
    return span


class _Sent(core.SendSpan):
    """A client's own class of span, which has more to say."""

    __slots__ = ("own",)

    own: dict[str, core.Attribute]

    def extra_attributes(self) -> dict[str, core.Attribute]:
        return self.own


class _Processed(core.ProcessSpan):
    __slots__ = ("own",)

    own: dict[str, core.Attribute]

    def extra_attributes(self) -> dict[str, core.Attribute]:
        return self.own


partitions = st.integers(-1, 5000)
offsets = st.just(-1) | st.integers(0, 1 << 16) | st.integers(0, (1 << 63) - 1)
# What clients say is mostly ids, words and small numbers; they may hold anything.
said = st.dictionaries(st.sampled_from(["id", "state", "n", "key" * 45]), st.integers(0, 5000) | texts | values)

short = st.dictionaries(st.sampled_from(["id", "state", "n"]), st.integers(0, 5000) | st.text(max_size=20))


@st.composite
def messages_of(draw: Any, maker: Any) -> core.Span:
    """A finished span of a message as nearly all of them are: nothing on it but what its class has."""
    template = maker.template("send orders", draw(st.sampled_from(["producer", "consumer"])), {"t": "orders"})
    parent = draw(contexts()).replace(state=None)
    parent = parent.replace(identity=parent.identity[:53] + draw(st.sampled_from([b"01", b"03"])))
    span: Any
    if draw(st.booleans()):
        sends = [core.SendSpan, core.DescribedSend, _Sent]
        span = core.start(template, draw(st.none() | st.just(parent)), draw(st.sampled_from(sends)))
        span.partition, span.offset = draw(partitions), draw(offsets)
    else:
        # before the span, after it, and nobody knows
        timestamp = draw(st.sampled_from([-1, 0, 1_700_000_000_000, 1 << 43]))
        make = draw(st.sampled_from([core.ProcessSpan, core.DescribedProcess, _Processed]))
        span = core.start_process(
            template, parent.identity, None, None, draw(partitions), draw(offsets), timestamp, make
        )
    if hasattr(type(span), "own"):
        span.own = draw(said)
    if isinstance(span, core.DescribedSend | core.DescribedProcess) and draw(st.booleans()):
        span.describe(draw(short))
    span.end()
    assert isinstance(span, core.Span)
    return span


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _any_value(value: core.Attribute) -> AnyValue:
    made = AnyValue()
    if isinstance(value, bool):
        made.bool_value = value
    elif isinstance(value, str):
        made.string_value = _unicode(value)
    elif isinstance(value, int):
        made.int_value = value
    elif isinstance(value, float):
        made.double_value = value
    elif isinstance(value, bytes):
        made.bytes_value = value
    else:
        made.array_value.SetInParent()
        made.array_value.values.extend(_any_value(item) for item in value)
    return made


def _fill(target: Any, attributes: Any) -> None:
    for key, value in attributes.items():
        target.add(key=_unicode(key), value=_any_value(value))


def _expected(spans: list[core.Span]) -> trace_pb2.TracesData:
    """What the public properties of the spans say, as protobuf's own objects."""
    data = trace_pb2.TracesData()
    groups: dict[int, Any] = {}
    for span in spans:
        scope = groups.get(id(span.template.pipeline))
        if scope is None:
            resource = data.resource_spans.add()
            _fill(resource.resource.attributes, span.resource)
            scope = groups[id(span.template.pipeline)] = resource.scope_spans.add()
            scope.scope.name, scope.scope.version = core.SCOPE_NAME, VERSION
        one = scope.spans.add()
        one.trace_id, one.span_id = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
        if span.parent_id is not None:
            one.parent_span_id = bytes.fromhex(span.parent_id)
        one.name, one.kind = _unicode(span.name), _KINDS[span.kind]
        one.start_time_unix_nano, one.end_time_unix_nano = span.start_time, span.end_time or 0
        one.trace_state = span.trace_state
        one.flags = (0x300 if span.parent_remote else 0x100) | int(span.identity[53:], 16)
        _fill(one.attributes, span.attributes)
        for event in span.events:
            made = one.events.add(name=_unicode(event.name), time_unix_nano=event.timestamp)
            _fill(made.attributes, event.attributes)
            made.dropped_attributes_count = event.dropped_attributes
        for link in span.links:
            context = link.context
            far = one.links.add(
                trace_id=bytes.fromhex(context.trace_id),
                span_id=bytes.fromhex(context.span_id),
                trace_state=context.trace_state,
                flags=(0x300 if link.remote else 0x100) | context.trace_flags,
            )
            _fill(far.attributes, link.attributes)
            far.dropped_attributes_count = link.dropped_attributes
        if span.status != "unset":
            one.status.code = {"ok": 1, "error": 2}[span.status]
            one.status.message = _unicode(span.status_description or "")
    return data


def _canonical(data: trace_pb2.TracesData) -> Any:
    """Comparable: attributes in the order of their keys, for the encoder is free in it, and NaN equal to itself."""
    for resource in data.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                for holder in (span, *span.events, *span.links):
                    pairs = sorted(holder.attributes, key=lambda pair: pair.SerializeToString(deterministic=True))
                    del holder.attributes[:]
                    holder.attributes.extend(pairs)
    return data.SerializeToString(deterministic=True)


def _from_json(encoded: bytes) -> trace_pb2.TracesData:
    """By protobuf's parser, which takes bytes in base64: OTLP has its ids in hex."""
    data = json.loads(encoded)

    def ids(node: Any) -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                if name in ("traceId", "spanId", "parentSpanId"):
                    assert re.fullmatch("[0-9a-f]+", value)
                    node[name] = base64.b64encode(bytes.fromhex(value)).decode()
                else:
                    ids(value)
        elif isinstance(node, list):
            for value in node:
                ids(value)

    ids(data)
    made = trace_pb2.TracesData()
    json_format.ParseDict(data, made)
    return made


@given(st.data())
def test_protobuf_reads_what_was_written(maker_of_this_module: Callable[..., Any], data: Any) -> None:
    makers = [maker_of_this_module(), maker_of_this_module(service="till")]
    spans = [data.draw(spans_of(data.draw(st.sampled_from(makers)))) for _ in range(data.draw(st.integers(1, 4)))]
    decoded = trace_pb2.TracesData.FromString(core.request(spans))
    assert _canonical(decoded) == _canonical(_expected(spans))


@given(st.data())
def test_protobuf_reads_spans_of_messages(maker_of_this_module: Callable[..., Any], data: Any) -> None:
    """They have an encoding of their own (mqtrace/core/encode_message.py)."""
    maker = maker_of_this_module()
    spans = [data.draw(messages_of(maker)) for _ in range(data.draw(st.integers(1, 4)))]
    decoded = trace_pb2.TracesData.FromString(core.request(spans))
    assert _canonical(decoded) == _canonical(_expected(spans))


def test_texts_of_every_length_are_read(maker: Any) -> None:
    """On a client's own span, whose lengths are bytes made ahead as long as one byte holds them."""
    spans = maker()
    made = []
    for size in range(140):
        span = core.start(spans.template("send orders", "producer", {}), None, _Sent)
        assert isinstance(span, _Sent)
        span.partition, span.offset, span.own = -1, -1, {"id": "x" * size, "n": 1 << size % 63}
        span.end()
        made.append(span)
    assert _canonical(trace_pb2.TracesData.FromString(core.request(made))) == _canonical(_expected([*made]))


@given(st.data())
def test_json_says_what_protobuf_says(maker_of_this_module: Callable[..., Any], data: Any) -> None:
    makers = [maker_of_this_module(), maker_of_this_module(service="till")]
    spans = [data.draw(spans_of(data.draw(st.sampled_from(makers)))) for _ in range(data.draw(st.integers(1, 4)))]
    encoded = otlp_json.encode(spans)
    assert b"\n" not in encoded
    assert _canonical(_from_json(encoded)) == _canonical(_expected(spans))


@pytest.fixture(scope="module")
def maker_of_this_module(request: pytest.FixtureRequest) -> Any:
    """Of the module's scope, as hypothesis wants it."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location("export_conftest", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda **options: module.Maker(module.Kept(), **options)


def test_nothing_encodes_to_nothing() -> None:
    assert core.request([]) == b""
    assert _from_json(otlp_json.encode([])) == trace_pb2.TracesData()
    assert zipkin.encode([]) == b"[]"


def test_json_keeps_to_otlps_own_rules(maker: Any) -> None:
    """Ids in hex, enums as numbers, 64-bit integers as text, bytes in base64, what is not finite as text."""
    spans = maker()
    span = spans.start(spans.template("w", "producer", {"n": 1 << 60, "b": b"\xff", "f": math.inf, "t": True}))
    span.end()
    one = json.loads(otlp_json.encode([span]))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (one["traceId"], one["spanId"], one["kind"]) == (span.trace_id, span.span_id, 4)
    assert one["startTimeUnixNano"] == str(span.start_time)
    assert {pair["key"]: pair["value"] for pair in one["attributes"]} == {
        "n": {"intValue": str(1 << 60)},
        "b": {"bytesValue": "/w=="},
        "f": {"doubleValue": "Infinity"},
        "t": {"boolValue": True},
    }


# ---------------------------------------------------------------------- Zipkin


def _strings(node: Any) -> bool:
    return all(isinstance(key, str) and isinstance(value, str) for key, value in node.items())


@given(st.data())
def test_no_span_breaks_zipkins_rules(maker_of_this_module: Callable[..., Any], data: Any) -> None:
    spans = [data.draw(spans_of(maker_of_this_module())) for _ in range(data.draw(st.integers(1, 3)))]
    encoded = zipkin.encode(spans)
    assert encoded.startswith(b"[{")
    for span, one in zip(spans, json.loads(encoded), strict=True):
        assert re.fullmatch("[0-9a-f]{32}", one["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", one["id"])
        assert one.get("parentId") == span.parent_id
        assert ("parentId" in one) == (span.parent_id is not None)
        assert one.get("kind") in (None, "PRODUCER", "CONSUMER", "CLIENT", "SERVER")
        assert ("kind" in one) == (span.kind != "internal")
        assert type(one["timestamp"]) is int
        assert one["timestamp"] >= 1
        assert type(one["duration"]) is int
        assert one["duration"] >= 1
        assert one["localEndpoint"] == {"serviceName": "shop"}
        assert _strings(one.get("tags", {}))
        for annotation in one.get("annotations", []):
            assert type(annotation["timestamp"]) is int
            assert type(annotation["value"]) is str
        assert not any(value is None for value in one.values())


def test_the_broker_is_the_remote_endpoint(maker: Any) -> None:
    spans = maker()

    def remote(attributes: Any, kind: core.Kind = "producer") -> Any:
        span = spans.start(spans.template("send orders", kind, attributes))
        span.end()
        return json.loads(zipkin.encode([span]))[0].get("remoteEndpoint")

    system = {"messaging.system": "kafka"}
    assert remote({**system, "server.address": "kafka.internal", "server.port": 9092}) == {
        "serviceName": "kafka",
        "port": 9092,
    }
    assert remote({**system, "server.address": "10.0.0.1"}) == {"serviceName": "kafka", "ipv4": "10.0.0.1"}
    assert remote({**system, "server.address": "::1"}) == {"serviceName": "kafka", "ipv6": "::1"}
    assert remote({"server.address": "db", "server.port": 0}) == {"serviceName": "db"}
    assert remote({}) is None
    assert remote(system, "internal") is None


def test_what_zipkin_has_no_place_for_is_in_the_tags(maker: Any) -> None:
    spans = maker()
    span = spans.start()
    other = core.Context(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
    span.add_link(other)
    span.set_attributes({"flag": True, "list": [1, 2], "number": 1.5})
    span.fail(ValueError("too few"))
    span.end()
    tags = json.loads(zipkin.encode([span]))[0]["tags"]
    assert tags == {
        "telemetry.sdk.name": "mqtrace",
        "otel.scope.name": core.SCOPE_NAME,
        "otel.scope.version": VERSION,
        "otel.status_code": "ERROR",
        "flag": "true",
        "list": '["1","2"]',
        "number": "1.5",
        "error.type": "ValueError",
        "error": "too few",
        "link.0": f"{'a' * 32}/{'b' * 16}",
    }
