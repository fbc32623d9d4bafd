"""The hot path, where spans of messages start, agrees with the long way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core

Make = Callable[..., core.Template]
PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16


def test_a_decision_that_was_left_open_is_made_by_the_sampler_when_a_message_is_sent(template: Make) -> None:
    token = core.attach(core.Context(PARENT + b"-00", decision="defer"))
    try:
        span = core.start_send(template("send orders", "producer"))
    finally:
        core.detach(token)
    assert isinstance(span, core.SendSpan)
    assert (span.trace_id, span.parent_id, span.identity[53:]) == ("a" * 32, "b" * 16, b"01")


@pytest.mark.parametrize("local", [True, False])
def test_a_send_span_knows_whether_its_parent_is_of_another_process(template: Make, local: bool) -> None:
    context = core.Context(PARENT + b"-01")
    parent: Any = core.start(template(), context, core.Span) if local else context
    token = core.attach(parent)
    try:
        span = core.start_send(template("send orders", "producer"))
    finally:
        core.detach(token)
    assert isinstance(span, core.SendSpan)
    assert span.parent_remote is not local


OUTER = b"00-" + b"c" * 32 + b"-" + b"d" * 16 + b"-03"


@pytest.fixture
def inside(template: Make) -> Iterator[Callable[[], Any]]:
    """Starts the span of a message inside another tracer's span."""
    token = core.attach(core.Context(OUTER, "vendor=1", remote=False))
    yield lambda: core.start_process(template("process orders", "consumer"), PARENT + b"-01", None, None, 1, 2, 3)
    core.detach(token)


def test_a_process_span_inside_another_span_is_its_messages_child_and_links_to_both(inside: Any) -> None:
    span = inside()
    span.end()
    assert span.parent_id == "b" * 16
    assert [link.context.span_id for link in span.links] == ["b" * 16, "d" * 16]
    sent = trace_pb2.Span.FromString(core.encode_span(span))
    assert [(link.span_id.hex(), link.trace_state, link.flags) for link in sent.links] == [
        ("b" * 16, "", 0x301),
        ("d" * 16, "vendor=1", 0x103),
    ]
    assert (span.events, span.status, span.status_description) == ((), "unset", None)


def test_what_is_added_to_it_comes_beside_that_link(inside: Any) -> None:
    span = inside()
    span.set_attribute("amount", 12)
    span.add_event("charged")
    span.set_status("error", "no money")
    span.end()
    assert [link.context.span_id for link in span.links] == ["b" * 16, "d" * 16]
    assert span.attributes["amount"] == 12
    assert [event.name for event in span.events] == ["charged"]
    assert (span.status, span.status_description) == ("error", "no money")
    sent = trace_pb2.Span.FromString(core.encode_span(span))
    assert (len(sent.links), len(sent.events), sent.status.message) == (2, 1, "no money")


def test_a_span_around_that_has_ended_is_linked_as_long_as_it_is_current(template: Make) -> None:
    around: Any = core.start(template(), None, core.Span)
    token = core.attach(around)
    try:
        around.end()
        span: Any = core.start_process(template(), PARENT + b"-01", None, None, 1, 2, 3)
    finally:
        core.detach(token)
    assert [link.context.span_id for link in span.links] == ["b" * 16, around.span_id]


def test_an_empty_context_around_is_not_linked(template: Make) -> None:
    token = core.attach(core.EMPTY)
    try:
        span: Any = core.start_process(template(), PARENT + b"-01", None, None, 1, 2, 3)
    finally:
        core.detach(token)
    assert span.details is None
    assert [link.context.span_id for link in span.links] == ["b" * 16]


@pytest.mark.parametrize("flags", [b"00", b"01", b"02", b"03"])
def test_a_child_has_the_flags_of_its_trace_and_an_id_of_its_own(template: Make, flags: bytes) -> None:
    parent = PARENT + b"-" + flags
    made = {core.start_process(template(), parent, None, None, 1, 2, 3).identity for _ in range(3000)}
    assert len(made) == 3000
    assert {(one[:36], one[52:]) for one in made if one} == {(parent[:36], b"-" + flags)}
    assert all(core.is_canonical(one) for one in made if one)
