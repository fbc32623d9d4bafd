"""The OpenTelemetry propagators as an oracle, in both directions. Where they differ from us, a test names it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mqtrace.carriers import Mapping
from mqtrace.core import Context
from mqtrace.propagation import from_names

ORACLES: dict[str, Any] = {
    "tracecontext": TraceContextTextMapPropagator(),
    "b3": B3SingleFormat(),
    "b3multi": B3MultiFormat(),
    "jaeger": JaegerPropagator(),
}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
STATE_VALUES = st.from_regex(r"[\x21-\x2b\x2d-\x3c\x3e-\x7e]{1,20}", fullmatch=True)
TRACE_IDS, SPAN_IDS = st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1)
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def theirs(name: str, headers: dict[str, str]) -> Context:
    """What OpenTelemetry reads, as our context."""
    found = trace.get_current_span(ORACLES[name].extract(headers)).get_span_context()
    if not found.is_valid:
        return Context()
    identity = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags & 3:02x}"
    return Context(identity.encode(), found.trace_state.to_header() or None)


def ours(name: str, headers: dict[str, str]) -> Context:
    return from_names(name).extract(Mapping(headers))


def written_by_them(name: str, trace_id: int, span_id: int, flags: int, state: dict[str, str]) -> dict[str, str]:
    entries = trace.TraceState(list(state.items()))
    span = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags), entries)
    headers: dict[str, str] = {}
    ORACLES[name].inject(headers, trace.set_span_in_context(trace.NonRecordingSpan(span)))
    return headers


@given(TRACE_IDS, SPAN_IDS, st.sampled_from([0, 1]), st.dictionaries(KEYS, STATE_VALUES, max_size=8))
@pytest.mark.parametrize("name", ORACLES)
def test_we_read_what_they_write_and_they_read_what_we_write(
    name: str, trace_id: int, span_id: int, flags: int, state: dict[str, str]
) -> None:
    headers = written_by_them(name, trace_id, span_id, flags, state)
    text = ",".join(f"{key}={value}" for key, value in state.items()) if name == "tracecontext" else ""
    context = Context(f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}".encode(), text or None)
    assert ours(name, headers) == context
    native: dict[str, str] = {}
    from_names(name).inject(Mapping(native), context)
    assert theirs(name, native) == context


@given(
    st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,3})?", fullmatch=True),
    st.lists(
        st.from_regex(r"[a-z][a-z0-9]{0,4}=[!-+.-<>-~]{1,5} ?", fullmatch=True), max_size=5, unique_by=lambda m: m[:5]
    ),
)
def test_we_agree_on_traceparent_and_tracestate(parent: str, members: list[str]) -> None:
    keys = [member.partition("=")[0] for member in members]
    if len(set(keys)) != len(keys):
        return  # see test_they_discard_a_tracestate_with_a_repeated_key
    headers = {"traceparent": parent, "tracestate": ",".join(members)}
    assert ours("tracecontext", headers) == theirs("tracecontext", headers)


@given(st.text(max_size=60))
def test_we_agree_that_other_text_is_no_traceparent(text: str) -> None:
    assert ours("tracecontext", {"traceparent": text}) == theirs("tracecontext", {"traceparent": text})


@given(st.dictionaries(KEYS, PLAIN, max_size=6))
def test_they_read_the_baggage_that_we_write(members: dict[str, str]) -> None:
    # they strip whitespace that was percent-encoded, and read a plus sign as a space: both are wrong, see below
    members = {key: value.strip().replace("+", "-") for key, value in members.items()}
    native: dict[str, str] = {}
    from_names("baggage").inject(Mapping(native), Context(baggage=members))
    assert otel_baggage.get_all(W3CBaggagePropagator().extract(native)) == members


@given(st.dictionaries(KEYS, PLAIN, max_size=6))
def test_we_read_the_baggage_that_they_write(members: dict[str, str]) -> None:
    # they write a space as a plus sign, which is wrong, see below
    members = {key: value.replace(" ", "_") for key, value in members.items()}
    context = None
    for key, value in members.items():
        context = otel_baggage.set_baggage(key, value, context)
    native: dict[str, str] = {}
    if context is not None:
        W3CBaggagePropagator().inject(native, context)
    assert dict(ours("baggage", native).baggage or {}) == members


def test_they_take_a_plus_sign_in_baggage_for_a_space() -> None:
    headers = {"baggage": "a=1+1"}
    assert otel_baggage.get_all(W3CBaggagePropagator().extract(headers)) == {"a": "1 1"}
    assert ours("baggage", headers).baggage == {"a": "1+1"}


def test_they_keep_the_properties_of_baggage_as_part_of_the_value() -> None:
    headers = {"baggage": "a=1;p=q"}
    assert otel_baggage.get_all(W3CBaggagePropagator().extract(headers)) == {"a": "1;p=q"}
    assert ours("baggage", headers).baggage == {"a": "1"}


def test_they_discard_a_tracestate_with_a_repeated_key() -> None:
    headers = {"traceparent": GOOD, "tracestate": "a=1,b=2,a=3"}
    assert theirs("tracecontext", headers).state is None
    assert ours("tracecontext", headers).state == "a=1,b=2"


def test_they_know_no_level_2_key() -> None:
    assert theirs("tracecontext", {"traceparent": GOOD, "tracestate": "1a=1"}).state is None
    assert ours("tracecontext", {"traceparent": GOOD, "tracestate": "1a=1"}).state == "1a=1"


def test_they_allow_whitespace_around_traceparent_also_off_http() -> None:
    assert theirs("tracecontext", {"traceparent": f" {GOOD} "}).is_valid
    assert not ours("tracecontext", {"traceparent": f" {GOOD} "}).is_valid


@pytest.mark.parametrize(("headers", "sampled"), [({"b3": f"{TRACE}-{SPAN}"}, True)])
def test_they_take_an_open_decision_in_b3_for_sampled(headers: dict[str, str], sampled: bool) -> None:
    assert theirs("b3", headers).sampled is sampled
    assert ours("b3", headers).sampled is None


def test_they_lose_the_decision_of_a_lone_b3_and_do_not_fall_back() -> None:
    assert theirs("b3", {"b3": "0"}) == Context()
    assert ours("b3", {"b3": "0"}).sampled is False
    several = {"b3": "broken", "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"}
    assert theirs("b3", several) == Context()
    assert ours("b3", several) == Context(GOOD.encode())


def test_they_take_jaegers_debug_flag_alone_for_not_sampled() -> None:
    headers = {"uber-trace-id": f"{TRACE}:{SPAN}:0:2"}
    assert theirs("jaeger", headers).sampled is False
    assert ours("jaeger", headers).sampled is True
