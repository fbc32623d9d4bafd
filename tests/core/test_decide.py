"""Whether a span is made and below what: roots ask the sampler, children follow, nothing is built before that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mqtrace import core

Make = Callable[..., core.Template]
PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16


class Sampler:
    """One that is asked each time, answers as it was told, and remembers what it was asked."""

    threshold: bytes | None = None
    state: str | None = "ot=th:8"

    def __init__(self, root: bool = True, remote: Any = None, follows: bool = True) -> None:
        self.answer, self.remotely, self.follows = root, remote, follows
        self.asked: list[str] = []

    def root(self, template: Any, identity: bytes, attributes: Any) -> bool:
        self.asked.append("root")
        return self.answer

    def remote(self, template: Any, identity: bytes, state: Any, attributes: Any, *, undecided: bool = False) -> Any:
        self.asked.append("undecided" if undecided else "remote")
        return self.remotely


def test_a_root_asks_the_sampler_and_starts_with_its_state(template: Make) -> None:
    sampler = Sampler()
    span = core.start(template(sampling=sampler), None, core.Span)
    assert isinstance(span, core.Span)
    assert (sampler.asked, span.parent, span.state) == (["root"], None, "ot=th:8")


def test_a_root_that_is_not_sampled_has_an_identity_and_no_state(template: Make) -> None:
    span = core.start(template(sampling=Sampler(root=False)), None, core.Span)
    assert isinstance(span, core.NoopSpan)
    assert (span.is_valid, span.identity[53:], span.state) == (True, b"02", None)  # type: ignore[index]  # there is one


@pytest.mark.parametrize(("flags", "made"), [(b"01", core.Span), (b"03", core.Span), (b"00", core.NoopSpan)])
@pytest.mark.parametrize("remote", [True, False])
def test_a_parents_flag_is_followed(template: Make, flags: bytes, made: type[Any], remote: bool) -> None:
    sampler = Sampler()
    span: Any = core.start(template(sampling=sampler), core.Context(PARENT + b"-" + flags, remote=remote), core.Span)
    assert type(span) is made
    assert (span.identity[:36], span.identity[53:]) == (PARENT[:36], flags)
    assert not sampler.asked


def test_a_sampler_that_wants_to_be_asked_is_asked_for_remote_parents_alone(template: Make) -> None:
    sampler = Sampler(remote=(False, "ot=th:1"), follows=False)
    asks = template(sampling=sampler)
    assert isinstance(core.start(asks, core.Context(PARENT + b"-01", remote=False), core.Span), core.Span)
    assert not sampler.asked
    dropped = core.start(asks, core.Context(PARENT + b"-01"), core.Span)
    assert isinstance(dropped, core.NoopSpan)
    assert (dropped.state, sampler.asked) == ("ot=th:1", ["remote"])


def test_a_decision_that_was_left_open_is_the_samplers(template: Make) -> None:
    sampler = Sampler(remote=(True, None))
    span = core.start(template(sampling=sampler), core.Context(PARENT + b"-00", decision="defer"), core.Span)
    assert isinstance(span, core.Span)
    assert (span.identity[53:], sampler.asked) == (b"01", ["undecided"])


@pytest.mark.parametrize(("decision", "made"), [("accept", core.Span), ("deny", core.NoopSpan)])
def test_a_decision_without_a_trace_is_followed_by_the_root(template: Make, decision: Any, made: type[Any]) -> None:
    sampler = Sampler()
    assert type(core.start(template(sampling=sampler), core.Context(decision=decision), core.Span)) is made
    assert not sampler.asked


def test_where_nothing_is_made_the_context_is_passed_on(template: Make) -> None:
    passes = template(propagate_only=True)
    assert core.start(passes, None, core.Span) is core.NOOP
    passed = core.start(passes, core.Context(PARENT + b"-01", "a=1"), core.Span)
    assert (type(passed), passed.identity, passed.state) == (core.NoopSpan, PARENT + b"-01", "a=1")


def test_a_message_without_a_context_is_the_child_of_what_is_around_it(template: Make) -> None:
    outer = core.Context(PARENT + b"-01", remote=False)
    span: Any = core.start_process_below(template(), outer, core.EMPTY, core.Span)
    assert (span.parent_id, list(span.links)) == ("b" * 16, [])


def test_a_message_s_context_is_the_parent_and_what_is_around_is_linked(template: Make) -> None:
    outer = core.Context(b"00-" + b"c" * 32 + b"-" + b"d" * 16 + b"-01", remote=False)
    span: Any = core.start_process_below(template(), outer, core.Context(PARENT + b"-01"), core.Span)
    assert span.parent_id == "b" * 16
    assert [link.context.span_id for link in span.links] == ["d" * 16]


def test_a_linked_message_starts_a_trace_of_its_own_and_keeps_its_baggage(template: Make) -> None:
    message = core.Context(PARENT + b"-01", baggage={"user": "7"})
    span: Any = core.start_process_below(template(relation="link"), None, message, core.Span)
    assert span.parent_id is None
    assert span.trace_id != "a" * 32
    assert span.baggage == {"user": "7"}
