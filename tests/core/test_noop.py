"""The span of what is not recorded: everything can be done to it, and the context travels on."""

from __future__ import annotations

from typing import Any

import pytest

from mqtrace import core

UNSAMPLED = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00"


def test_nothing_comes_of_what_is_done_to_it() -> None:
    span = core.NoopSpan(UNSAMPLED, "a=1", {"user": "7"})
    nonsense: Any = object()
    span.set_attribute("a", nonsense)
    span.set_attributes(nonsense)
    span.add_event(nonsense, nonsense, nonsense)
    span.add_link(nonsense, nonsense)
    span.record_exception(nonsense, nonsense)
    span.set_status(nonsense, nonsense)
    span.fail(nonsense)
    span.end(nonsense)
    span.end()
    assert not span.is_recording()
    assert (span.name, span.kind, span.status, span.start_time, span.end_time) == ("", "internal", "unset", 0, None)
    assert not any((span.attributes, span.events, span.links, span.status_description, span.service))
    assert (span.identity, span.state, span.baggage) == (UNSAMPLED, "a=1", {"user": "7"})


def test_it_has_every_public_name_of_a_span() -> None:
    for name in (name for name in dir(core.Span) if not name.startswith("_")):
        if name not in {"begun_ns", "details", "slot_attributes", "slot_links", "parent", "parent_remote", "template"}:
            assert hasattr(core.NOOP, name), name


def test_its_ids_are_those_it_passes_on() -> None:
    span = core.NoopSpan(UNSAMPLED)
    assert (span.trace_id, span.span_id, span.is_valid, span.trace_state) == ("a" * 32, "b" * 16, True, "")
    assert (core.NOOP.trace_id, core.NOOP.span_id, core.NOOP.is_valid) == ("0" * 32, "0" * 16, False)


def test_it_is_current_inside_its_block_and_what_was_before_is_after() -> None:
    span = core.NoopSpan(UNSAMPLED)
    with pytest.raises(KeyError), span:
        with span:
            assert core.current_frame() is span
        assert core.current_span() is span
        raise KeyError
    assert core.current_frame() is None


def test_the_one_for_no_trace_at_all_is_shared_and_makes_nothing_current() -> None:
    with core.NOOP as span:
        assert span is core.NOOP
        assert core.current_frame() is None
    assert core.current_span() is core.NOOP


def test_what_is_current_without_a_span_is_read_through_one() -> None:
    token = core.attach(core.Context(UNSAMPLED, "a=1"))
    try:
        span = core.current_span()
    finally:
        core.detach(token)
    assert isinstance(span, core.NoopSpan)
    assert (span.identity, span.state) == (UNSAMPLED, "a=1")
