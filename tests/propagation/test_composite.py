"""Formats together: order, merging, counting, and that no message raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqtrace.carriers import AmqpTable, Carrier, HttpHeaders, KafkaHeaders, Mapping
from mqtrace.core import Context, Frame
from mqtrace.errors import ConfigurationError
from mqtrace.propagation import Composite, Propagator, TraceContext, from_names

EVERY = "tracecontext,baggage,b3,b3multi,jaeger,xray,datadog"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ON = f"00-{TRACE}-{SPAN}-01".encode()
OTHER = f"00-{'1' * 32}-{SPAN}-00".encode()


class Own:
    """A format of a user: one header, hex of the identity."""

    name = "own"
    fields: tuple[str, ...] = ("X-Own",)

    def extract(self, carrier: Carrier, context: Context) -> Context:
        text = carrier.get("X-Own")
        return context if text is None else Context(bytes.fromhex(text), None, context.baggage)

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            raise RuntimeError("a user's format may raise")
        carrier.set("X-Own", context.identity.hex())


def test_names() -> None:
    assert [each.name for each in from_names(EVERY).formats] == EVERY.split(",")
    assert [each.name for each in from_names(" B3 , tracecontext,b3,").formats] == ["b3", "tracecontext"]
    assert from_names("none").formats == ()
    assert from_names("").formats == ()
    own = Own()
    assert isinstance(own, Propagator)
    assert from_names(own).formats == (own,)
    assert [each.name for each in from_names(["baggage", own, TraceContext(), "tracecontext"]).formats] == [
        "baggage",
        "own",
        "tracecontext",
    ]
    assert from_names(from_names(EVERY)).fields == from_names(EVERY).fields


@pytest.mark.parametrize("wrong", ["tracecontext,w3c", ["w3c"], 5, None, object(), b"baggage"])
def test_an_unknown_name_is_a_configuration_error_that_lists_the_known_ones(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown propagator .*: write one of tracecontext, .*datadog, none"):
        from_names(wrong)


def test_the_first_format_that_finds_a_trace_gives_it(read: Any) -> None:
    headers = {"traceparent": OTHER.decode(), "tracestate": "a=1", "b3": f"{TRACE}-{SPAN}-1"}
    assert read("b3,tracecontext", headers) == (Context(ON), 0)
    assert read("tracecontext,b3", headers) == (Context(OTHER, "a=1"), 0)
    assert read("tracecontext,b3", {**headers, "traceparent": "broken"}) == (Context(ON), 1)


@pytest.mark.parametrize("first", ["b3", "b3multi", "jaeger", "xray", "datadog"])
def test_a_later_tracecontext_of_the_same_span_gives_its_tracestate_and_random_flag(first: str) -> None:
    """The other formats have neither; a sampler's threshold and a message's send time are in the tracestate."""
    formats = from_names(f"{first},tracecontext")
    carrier = Mapping({})
    formats.inject(carrier, Context(ON[:53] + b"03", "mqtrace=t:1700000000000,v=1"))
    found = formats.extract(carrier)
    assert found.identity == ON[:53] + b"03"
    assert found.state == "mqtrace=t:1700000000000,v=1"


def test_the_first_formats_decision_stands_where_a_later_one_of_the_same_span_differs(read: Any) -> None:
    headers = {"b3": f"{TRACE}-{SPAN}-0", "traceparent": f"00-{TRACE}-{SPAN}-03", "tracestate": "v=1"}
    found, _ = read("b3,tracecontext", headers)
    assert (found.identity, found.state) == (ON[:53] + b"02", "v=1")
    found, _ = read("b3,tracecontext", {**headers, "b3": f"{TRACE}-{SPAN}"})
    assert (found.decision, found.state) == ("defer", "v=1")


def test_the_tracestate_of_another_span_is_not_taken_over(read: Any) -> None:
    headers = {"b3": f"{TRACE}-{SPAN}-1", "traceparent": OTHER.decode(), "tracestate": "v=1"}
    found, _ = read("b3,tracecontext", headers)
    assert (found.identity, found.state) == (ON, None)


def test_a_trace_goes_before_a_decision_without_one(read: Any) -> None:
    headers = {"traceparent": ON.decode(), "b3": "0"}
    assert read("b3,tracecontext", headers) == (Context(ON), 0)
    assert read("tracecontext,b3", headers) == (Context(ON), 0)
    assert read("b3,xray", {"b3": "0", "X-Amzn-Trace-Id": f"Root=1-{TRACE[:8]}-{TRACE[8:]};Sampled=1"}) == (
        Context(decision="deny"),
        0,
    )


def test_what_a_message_says_goes_over_what_was_given(read: Any) -> None:
    base = Context(OTHER, "a=1", {"x": "1", "y": "1"}, "defer")
    headers = {"traceparent": ON.decode(), "baggage": "y=2"}
    assert read("tracecontext,baggage", headers, base) == (Context(ON, None, {"x": "1", "y": "2"}), 0)
    assert read("b3", {"b3": "0"}, base)[0].sampled is False


def test_baggage_of_several_formats_merges(read: Any) -> None:
    headers = {"baggage": "a=1", "uber-trace-id": f"{TRACE}:{SPAN}:0:1", "uberctx-b": "2"}
    assert read("baggage,jaeger", headers) == (Context(ON, None, {"a": "1", "b": "2"}), 0)
    assert read("jaeger,baggage", headers) == (Context(ON, None, {"a": "1", "b": "2"}), 0)
    both = {**headers, "traceparent": OTHER.decode()}
    assert read("tracecontext,jaeger", both) == (Context(OTHER, None, {"b": "2"}), 0)


def test_a_message_is_reported_once_however_many_of_its_headers_are_malformed(read: Any) -> None:
    assert read(EVERY, {"traceparent": 5, "baggage": "=", "b3": "x", "uber-trace-id": None}) == (Context(), 1)


def test_the_callback_of_the_constructor_is_the_default() -> None:
    reports: list[str] = []
    composite = from_names("tracecontext", lambda: reports.append("made with"))
    composite.extract(Mapping({"traceparent": "x"}))
    composite.extract(Mapping({"traceparent": "x"}), Context(), lambda: reports.append("given"))
    assert reports == ["made with", "given"]


def test_no_headers_give_back_the_very_context_that_was_given() -> None:
    base = Context(ON)
    for native in (None, [], [("a", b"b")]):
        assert from_names(EVERY).extract(KafkaHeaders(native), base) is base


def test_a_format_of_a_user_may_raise_and_is_found_on_http() -> None:
    composite = Composite([Own(), TraceContext()])
    carrier = HttpHeaders({})
    composite.inject(carrier, Context())
    assert carrier.names() == []
    composite.inject(carrier, Context(ON))
    assert carrier.names() == ["x-own", "traceparent"]
    assert composite.extract(carrier) == Context(ON)
    carrier.set("x-own", "no hex")
    assert composite.extract(carrier) == Context(ON)


def test_a_carrier_of_a_user_may_raise() -> None:
    class Broken(Mapping):
        def names(self) -> list[str]:
            raise RuntimeError

    reports: list[None] = []
    assert from_names(EVERY).extract(Broken({}), Context(), lambda: reports.append(None)) == Context()
    assert reports == [None]


ANY = st.one_of(
    st.none(), st.integers(), st.binary(max_size=80), st.text(max_size=80), st.lists(st.integers(), max_size=2)
)
NEAR = st.from_regex(r"[0-9a-f:;,=%d-]{0,80}|Root=1-[0-9a-f]{8}-[0-9a-f]{24};.*|[01]{1,2}-[0-9a-f]{32}-.*")
NAMES = st.one_of(st.sampled_from([*from_names(EVERY).fields, "uberctx-a"]), ANY)
PAIRS = st.lists(st.one_of(st.tuples(NAMES, st.one_of(ANY, NEAR)), ANY), max_size=12)


@settings(max_examples=300)
@given(PAIRS)
def test_nothing_in_a_message_raises(pairs: list[Any]) -> None:
    table: dict[Any, Any] = {}
    for pair in pairs:
        if isinstance(pair, tuple) and isinstance(pair[0], str | bytes | int | None):
            table[pair[0]] = pair[1]
    environ = {"REQUEST_METHOD": "GET", **{f"HTTP_{k}".upper().replace("-", "_"): v for k, v in table.items()}}
    for carrier in (
        KafkaHeaders(list(pairs)),
        KafkaHeaders(tuple(pairs)),
        KafkaHeaders(dict(table)),
        AmqpTable(dict(table)),
        Mapping(dict(table)),
        HttpHeaders(dict(table)),
        HttpHeaders(list(pairs)),
        HttpHeaders(environ),
        HttpHeaders({"type": "http", "headers": list(pairs)}),
    ):
        composite = from_names(EVERY)
        context = composite.extract(carrier)
        assert context.identity is None or len(context.identity) == 55
        composite.inject(carrier, Context(ON, "a=1", {"k": "v"}))
        again = composite.extract(carrier)
        assert (again.identity, again.state, (again.baggage or {}).get("k")) == (ON, "a=1", "v")


IDENTITIES = st.builds(
    "00-{:032x}-{:016x}-{}".format,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.sampled_from(["00", "01"]),
).map(str.encode)


@given(IDENTITIES, st.sampled_from(EVERY.replace("baggage,", "").split(",")))
def test_what_is_written_is_read(identity: bytes, name: str) -> None:
    native: list[Any] = []
    from_names(name).inject(KafkaHeaders(native), Context(identity))
    assert from_names(name).extract(KafkaHeaders(native)) == Context(identity)
