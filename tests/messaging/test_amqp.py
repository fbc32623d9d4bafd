"""What the clients of AMQP share: the context that nearly every message has is read at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mqtrace import core
from mqtrace.messaging import Operation
from mqtrace.messaging.amqp import read_context, start_below
from mqtrace.testing import record

_IDS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
_SENT = "mqtrace=t:1700000000000"

traceparents = st.sampled_from(
    [
        f"{_IDS}-03",
        f"{_IDS}-01",
        f"{_IDS}-02",
        f"{_IDS}-04",
        f"01{_IDS[2:]}-01",
        f"{_IDS}-03 ",
        _IDS,
        "",
        7,
        b"00",
        None,
    ]
)


@st.composite
def states(draw: st.DrawFn) -> Any:
    """A send time with a character changed, alone or beside what others say."""
    state = _SENT
    if draw(st.booleans()):
        place = draw(st.integers(0, len(state) - 1))
        state = state[:place] + draw(st.sampled_from(list("019tx_,= +\u0663\t"))) + state[place + 1 :]
    return draw(st.sampled_from([state, _SENT, f"{_SENT},vendor=1", f"vendor=1,{_SENT}", _SENT[:-1], 5, None]))


headers = st.fixed_dictionaries(
    {},
    optional={"traceparent": traceparents, "tracestate": states(), "baggage": st.just("user=7"), "other": st.just(1)},
)


@pytest.fixture(scope="module")
def operation() -> Iterator[Operation]:
    with record():
        yield Operation("process")


@example({"traceparent": f"{_IDS}-03", "tracestate": "mqtrace=t:1700000,a=bcd"})  # as long as a send time alone
@example({"traceparent": f"{_IDS}-03", "tracestate": f"{_SENT}000"})
@given(headers)
def test_what_is_read_at_a_glance_is_what_a_propagator_reads(operation: Operation, headers: dict[str, Any]) -> None:
    template = operation.make(None, "rabbitmq", "process", "orders")
    context, sent = read_context(operation, headers)
    known = core.start_process_in(template, context, -1, -1, sent)
    span = start_below(operation, template, core.ProcessSpan, headers)
    assert type(span) is type(known)
    assert (span.parent_id, span.trace_state, span.baggage) == (known.parent_id, known.trace_state, known.baggage)
    if isinstance(span, core.ProcessSpan):
        assert span.origin == context.identity
        assert span.sent_at() == sent
    elif isinstance(known, core.NoopSpan):
        assert _without_span_id(span.identity) == _without_span_id(known.identity)


def _without_span_id(identity: bytes | None) -> bytes | None:
    """A context that is passed on unsampled has a span id of its own, a new one each time."""
    return None if identity is None else identity[:36] + identity[52:]


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": f"{_IDS}-03", "tracestate": _SENT},
        {"traceparent": f"{_IDS}-02", "tracestate": _SENT, "other": 1},
        {"traceparent": f"{_IDS}-01"},
        {"other": 1},
    ],
)
def test_what_nearly_every_message_has_needs_no_propagator(
    operation: Operation, headers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> Any:
        raise AssertionError("it was asked")

    monkeypatch.setattr("mqtrace.messaging.amqp.read_context", read)
    start_below(operation, operation.make(None, "rabbitmq", "process", "orders"), core.ProcessSpan, headers)


def test_a_message_from_the_future_is_counted_once(operation: Operation) -> None:
    """When its send time is read, which is the exporter's part."""
    template = operation.make(None, "rabbitmq", "process", "orders")
    ahead = {"traceparent": f"{_IDS}-03", "tracestate": f"{_SENT[:10]}9999999999999"}
    span = start_below(operation, template, core.ProcessSpan, ahead)
    assert isinstance(span, core.ProcessSpan)
    span.end()
    counted = template.pipeline.counters.clock_skew
    core.request([span])
    assert span.latency() == 0.0
    assert span.attributes["messaging.message.receive.latency"] == 0.0
    assert template.pipeline.counters.clock_skew == counted + 1
