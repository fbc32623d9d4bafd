"""traceparent and tracestate, W3C Trace Context level 2."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.carriers import HttpHeaders, KafkaHeaders
from mqtrace.core import Context
from mqtrace.propagation import MalformedContext, TraceContext, from_names
from mqtrace.propagation.tracecontext import parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        (GOOD, GOOD),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-02", f"00-{TRACE}-{SPAN}-02"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-08", f"00-{TRACE}-{SPAN}-00"),
        (f"01-{TRACE}-{SPAN}-01", GOOD),
        (f"cc-{TRACE}-{SPAN}-05", GOOD),
        (f"fe-{TRACE}-{SPAN}-01-what-the-future-holds", GOOD),
        (f"01-{TRACE}-{SPAN}-01-", GOOD),
    ],
)
def test_a_good_traceparent_is_kept_as_version_00_with_two_flags(text: str, identity: str) -> None:
    assert parse_traceparent(text) == identity.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " " + GOOD,
        GOOD + " ",
        GOOD + "\n",
        GOOD + "-",
        GOOD + "-00",
        GOOD[:-1],
        GOOD.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"0x-{TRACE}-{SPAN}-01",
        f"0A-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01.more",
        f"01-{TRACE}-{SPAN}-0100",
        f"01-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}-{SPAN}-01",
        "00-" + "\u0660" * 32 + f"-{SPAN}-01",
        f"{GOOD},{GOOD}",
    ],
)
def test_a_malformed_traceparent_is_refused_and_its_tracestate_dropped(text: str, read: Any) -> None:
    assert parse_traceparent(text) is None
    assert read("tracecontext", {"traceparent": text, "tracestate": "a=1"}) == (Context(), 1)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert parse_traceparent(text) is None or text


def test_what_is_absent_gives_back_the_context_that_was_given() -> None:
    base = Context(GOOD.encode())
    assert TraceContext().extract(KafkaHeaders([]), base) is base
    assert TraceContext().extract(KafkaHeaders([("tracestate", b"a=1")]), base) is base


@pytest.mark.parametrize("value", [None, b"\xff", 5, ["x"]])
def test_a_traceparent_that_is_no_text_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedContext):
        TraceContext().extract(KafkaHeaders([("traceparent", value)]), Context())


@pytest.mark.parametrize("state", ["a=1,B=2", "a", "a=1,=2", b"\xff", 5])
def test_a_malformed_tracestate_is_counted_and_leaves_the_trace(state: Any, read: Any) -> None:
    assert read("tracecontext", {"traceparent": GOOD, "tracestate": state}) == (Context(GOOD.encode()), 1)


def test_an_empty_tracestate_is_none_at_all(read: Any) -> None:
    assert read("tracecontext", {"traceparent": GOOD, "tracestate": " , "}) == (Context(GOOD.encode()), 0)


def test_a_repeated_traceparent_restarts_the_trace_on_http_and_the_last_one_wins_on_kafka() -> None:
    other = f"00-{TRACE}-{'1' * 16}-01"
    pairs = [("traceparent", GOOD), ("traceparent", other), ("tracestate", "a=1"), ("tracestate", "b=2")]
    assert from_names("tracecontext").extract(HttpHeaders(pairs)) == Context()
    assert from_names("tracecontext").extract(HttpHeaders(pairs[1:])) == Context(other.encode(), "a=1,b=2")
    assert from_names("tracecontext").extract(KafkaHeaders(pairs)) == Context(other.encode(), "b=2")


def test_inject_replaces_both_headers(written: Any) -> None:
    stale = {"traceparent": "old", "tracestate": "old=1", "other": "x"}
    assert written("tracecontext", Context(GOOD.encode()), stale) == {"traceparent": GOOD, "other": "x"}
    assert written("tracecontext", Context(GOOD.encode(), "a=1"), stale)["tracestate"] == "a=1"


def test_without_an_identity_nothing_is_touched(written: Any) -> None:
    stale = {"traceparent": "old", "tracestate": "old=1"}
    assert written("tracecontext", Context(state="a=1"), stale) == stale
