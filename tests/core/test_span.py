"""Spans: what a user writes into them and reads from them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core

Make = Callable[..., core.Template]


def started(template: Make, **options: Any) -> core.Span:
    span = core.start(template(**options), None, core.Span)
    assert isinstance(span, core.Span)
    return span


def test_a_span_in_a_with_block_is_current_inside_and_ends_after(template: Make, recorder: Any) -> None:
    with started(template) as span:
        assert core.current_span() is span
        assert span.is_recording()
        assert span.end_time is None
    assert core.current_span() is core.NOOP
    assert recorder.queue == [span]
    assert span.end_time is not None
    assert span.end_time >= span.start_time


def test_an_exception_is_recorded_and_goes_on(template: Make, recorder: Any) -> None:
    """FAULTS 9."""
    with pytest.raises(KeyError), started(template) as span:
        raise KeyError("gone")
    assert span.status == "error"
    assert span.attributes["error.type"] == "KeyError"
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "KeyError"
    assert event.attributes["exception.message"] == "'gone'"
    assert "test_span.py" in str(event.attributes["exception.stacktrace"])
    assert recorder.queue == [span]


def test_the_span_before_is_current_again_after_an_exception(template: Make) -> None:
    with started(template) as outer:
        with pytest.raises(SystemExit), started(template):
            raise SystemExit(1)
        assert core.current_span() is outer


def test_an_exception_that_cannot_say_what_it_is_passes_all_the_same(template: Make) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    with pytest.raises(Mute), started(template) as span:
        raise Mute
    assert span.status == "error"


@pytest.mark.parametrize("value", [{}, object(), None, 1 << 63, -(1 << 63) - 1, [[1]], [None], 1j])
def test_an_attribute_that_cannot_be_kept_is_ignored_and_counted(
    template: Make, pipeline: core.Pipeline, value: object
) -> None:
    span = started(template)
    span.set_attribute("good", 1)
    span.set_attribute("bad", value)
    span.set_attribute(7, 1)  # type: ignore[arg-type]  # that is the mistake
    span.set_attribute("", 1)
    assert dict(span.attributes) == {"good": 1}
    assert pipeline.counters.calls_ignored == 3


def test_calls_that_cannot_be_done_never_raise(template: Make, pipeline: core.Pipeline) -> None:
    span: Any = started(template)
    span.set_attributes(None)
    span.set_attributes([1])
    span.add_event(None)
    span.add_event("e", attributes={1: 2})
    span.add_event("e", timestamp="now")
    span.add_link(None)
    span.add_link(core.Context())
    span.record_exception("no exception")
    span.set_status("green")
    span.set_status("error", 7)
    span.end(end_time="now")
    span.end()
    span.set_attribute("late", 1)
    assert "late" not in span.attributes
    assert pipeline.counters.calls_ignored == 13


@pytest.mark.parametrize("timestamp", ["now", 1.7e9, -1, True, 1 << 64])
def test_an_event_at_an_invalid_time_happened_all_the_same(
    template: Make, pipeline: core.Pipeline, timestamp: Any
) -> None:
    span = started(template)
    span.add_event("paid", {"k": 1}, timestamp)
    span.record_exception(ValueError("why"), timestamp=timestamp)
    span.end()
    assert [event.name for event in span.events] == ["paid", "exception"]
    assert span.end_time is not None
    assert all(span.start_time <= event.timestamp <= span.end_time for event in span.events)
    assert pipeline.counters.calls_ignored == 2


class Code(Enum):
    """As OpenTelemetry's StatusCode: its members are no text."""

    UNSET = 0
    OK = 1
    ERROR = 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [("ERROR", "error"), ("Ok", "ok"), (Code.ERROR, "error"), (Code.OK, "ok"), (Code.UNSET, "unset")],
)
def test_a_status_is_taken_as_opentelemetry_spells_it(
    template: Make, pipeline: core.Pipeline, status: Any, expected: str
) -> None:
    span = started(template)
    span.set_status(status, "why")
    span.end()
    assert span.status == expected
    assert span.status_description == ("why" if expected == "error" else None)
    assert core.request([span])
    assert pipeline.counters.calls_ignored == 0


class Truthless(dict[str, object]):
    """A mapping that does not say whether it is empty: numpy's and pandas' objects are like that."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


class Raising:
    """Raises whatever is asked of it."""

    @property
    def identity(self) -> bytes:
        raise ZeroDivisionError

    def items(self) -> object:
        raise ZeroDivisionError

    def __iter__(self) -> object:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        raise ZeroDivisionError


class RaisingNumber(int):
    def __int__(self) -> int:
        raise ZeroDivisionError


class RaisingText(str):
    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError


class RaisingList(list[int]):
    def __iter__(self) -> Any:
        raise ZeroDivisionError


def test_a_status_holds_where_its_description_is_no_text(template: Make, pipeline: core.Pipeline) -> None:
    span: Any = started(template)
    span.set_status("error", ValueError("why"))
    assert (span.status, span.status_description) == ("error", None)
    assert pipeline.counters.calls_ignored == 1


@pytest.mark.parametrize("value", [Raising(), RaisingNumber(5), RaisingList([1]), [Raising()], memoryview(b"")])
def test_a_value_whose_own_methods_raise_is_ignored_and_counted(
    template: Make, pipeline: core.Pipeline, value: object
) -> None:
    if isinstance(value, memoryview):
        value.release()
    span = started(template)
    span.set_attribute("k", value)
    span.add_event("e", {"k": value})
    span.set_status(value)  # type: ignore[arg-type]  # that is the mistake
    assert not span.attributes
    assert pipeline.counters.calls_ignored == 3


@pytest.mark.parametrize("key", [[], {}, {1}, Raising(), None, b"k", 5])
def test_a_key_that_is_no_text_is_ignored_and_counted(template: Make, pipeline: core.Pipeline, key: Any) -> None:
    span = started(template)
    span.set_attribute(key, 1)
    assert not span.attributes
    assert pipeline.counters.calls_ignored == 1


def test_text_of_a_class_of_its_own_is_kept_as_plain_text(template: Make, pipeline: core.Pipeline) -> None:
    span = started(template)
    span.set_attribute(RaisingText("key"), RaisingText("value"))
    span.add_event(RaisingText("event"))
    span.set_status("error", RaisingText("why"))
    assert {type(text) for text in (*span.attributes, *span.attributes.values(), span.events[0].name)} == {str}
    assert type(span.status_description) is str
    assert dict(span.attributes) == {"key": "value"}
    assert pipeline.counters.calls_ignored == 0


def test_a_mapping_that_does_not_say_whether_it_is_empty_is_read(template: Make, pipeline: core.Pipeline) -> None:
    span = started(template)
    other = core.Context(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
    span.set_attributes(Truthless(k=1))
    span.add_event("e", Truthless(k=1))
    span.add_link(other, Truthless(k=1))
    assert span.attributes == span.events[0].attributes == span.links[0].attributes == {"k": 1}
    assert pipeline.counters.calls_ignored == 0


class Lookalike:
    """Has one slot of a frame."""

    identity = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


@pytest.mark.parametrize(
    "context",
    [
        Raising(),
        Lookalike(),
        core.Context(b"short"),
        core.Context("00-" + "a" * 32 + "-" + "b" * 16 + "-01"),  # type: ignore[arg-type]  # that is the mistake
        core.Context(b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01"),
    ],
)
def test_a_link_to_what_is_no_context_is_ignored_and_counted(
    template: Make, pipeline: core.Pipeline, context: Any
) -> None:
    span = started(template)
    span.add_link(context)
    span.end()
    assert not span.links
    assert core.request([span])
    assert pipeline.counters.calls_ignored == 1


def test_a_value_that_is_set_anew_weighs_once(template: Make) -> None:
    span = started(template)
    for number in range(100):
        span.set_attribute("progress", f"{number:0>1000}")
    assert span.details is not None
    assert 1000 < span.details.weight < 1500


def test_a_second_end_does_not_send_the_span_twice(template: Make, recorder: Any) -> None:
    span = started(template)
    span.end()
    span.end()
    assert recorder.queue == [span]


def test_ok_is_final_and_only_an_error_has_a_description(template: Make) -> None:
    span = started(template)
    span.set_status("error", "first")
    assert (span.status, span.status_description) == ("error", "first")
    span.set_status("ok", "unused")
    span.set_status("error", "late")
    assert (span.status, span.status_description) == ("ok", None)


def test_times_are_the_users_where_he_gives_them(template: Make) -> None:
    span = started(template)
    span.add_event("then", timestamp=1_700_000_000_000_000_001)
    span.end(end_time=1_800_000_000_000_000_007)
    assert span.events[0].timestamp == 1_700_000_000_000_000_001
    assert span.end_time == 1_800_000_000_000_000_007


def test_the_users_times_stay_when_the_wall_clock_is_set(template: Make, pipeline: core.Pipeline) -> None:
    wall, steady = 10**18, 5 * 10**9
    pipeline.clock = core.Clock(lambda: steady, lambda: wall)
    span = started(template)
    span.end(10**18 + 1)
    wall += 3600 * 10**9
    pipeline.clock.refresh()
    assert span.end_time == 10**18 + 1
    (sent,) = trace_pb2.TracesData.FromString(core.request([span])).resource_spans[0].scope_spans[0].spans
    assert sent.end_time_unix_nano == 10**18 + 1


def test_any_time_ends_a_span(template: Make, pipeline: core.Pipeline) -> None:
    pipeline.clock = core.Clock(lambda: 5, lambda: 10**18)
    span = started(template)
    span.end(10**18 - 5)  # where the monotonic clock began
    assert not span.is_recording()
    assert span.end_time == 10**18 - 5


def test_a_duration_survives_a_wall_clock_that_is_set(template: Make, pipeline: core.Pipeline) -> None:
    wall, steady = 10**18, 5 * 10**9
    pipeline.clock = core.Clock(lambda: steady, lambda: wall)
    span = core.start(template(), None, core.Span)
    wall -= 3600 * 10**9
    steady += 2 * 10**9
    span.end()
    assert isinstance(span, core.Span)
    assert span.end_time is not None
    assert span.end_time - span.start_time == 2 * 10**9


def test_what_is_over_the_limits_is_dropped_and_counted(recorder: Any, template: Make, pipeline: core.Pipeline) -> None:
    pipeline.limits = core.Limits(attributes=2, events=1, links=1, value_length=3)
    span = started(template)
    other = core.Context(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
    for number in range(4):
        span.set_attribute(f"k{number}", "abcdef")
        span.add_event("e")
        span.add_link(other)
    assert dict(span.attributes) == {"k0": "abc", "k1": "abc"}
    assert len(span.events) == len(span.links) == 1
    assert span.details is not None
    assert (span.details.dropped_attributes, span.details.dropped_events, span.details.dropped_links) == (2, 3, 3)


def test_what_is_over_the_limits_of_an_event_and_of_a_link_is_dropped_and_counted_on_it(
    template: Make, pipeline: core.Pipeline
) -> None:
    pipeline.limits = core.Limits(event_attributes=2, link_attributes=1)
    span = started(template)
    other = core.Context(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
    many = {"a": 1, "": 0, "b": object(), "c": 3, "d": 4}
    span.add_event("over", many)
    span.add_event("within", {"a": 1, "b": 2})
    span.add_link(other, many)
    span.add_link(other)
    over, within = span.events
    assert (dict(over.attributes), over.dropped_attributes) == ({"a": 1, "c": 3}, 1)
    assert (dict(within.attributes), within.dropped_attributes) == ({"a": 1, "b": 2}, 0)
    assert [(dict(link.attributes), link.dropped_attributes) for link in span.links] == [({"a": 1}, 2), ({}, 0)]
    assert pipeline.counters.calls_ignored == 4
    assert span.details is not None
    assert span.details.dropped_attributes == 0


def test_a_child_is_of_its_parents_trace_and_a_root_of_its_own(template: Make) -> None:
    root = started(template)
    child = core.start(template(), root, core.Span)
    assert root.parent_id is None
    assert child.trace_id == root.trace_id
    assert child.parent_id == root.span_id
    assert child.span_id != root.span_id


def test_the_child_of_what_is_not_sampled_is_not_recorded_and_has_an_id_of_its_own(template: Make) -> None:
    parent = core.Context(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-02", "x=y", {"k": "v"})
    child = core.start(template(), parent, core.Span)
    assert isinstance(child, core.NoopSpan)
    assert (child.trace_id, child.state, child.baggage) == (parent.trace_id, "x=y", {"k": "v"})
    assert child.span_id not in (parent.span_id, "0" * 16)
    assert child.identity is not None
    assert (core.is_canonical(child.identity), child.identity[52:]) == (True, b"-02")
    with child:
        assert core.current_span() is child
        assert core.current_span().trace_id == "a" * 32


def test_a_no_op_span_takes_everything(template: Make) -> None:
    span: Any = core.NOOP
    span.set_attribute("k", "v")
    span.set_attributes({})
    span.add_event("e")
    span.add_link(span)
    span.record_exception(ValueError())
    span.set_status("error")
    span.end()
    with span:
        assert core.current_frame() is None
    assert not span.is_recording()
    assert span.trace_id == "0" * 32


@pytest.mark.parametrize("sampled", [True, False])
def test_a_block_within_a_block_of_the_same_span_leaves_nothing_current(template: Make, sampled: bool) -> None:
    identity = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + (b"-01" if sampled else b"-00")
    span = core.start(template(), core.Context(identity), core.Span)
    with span, core.start(template(), None, core.Span), span:
        pass
    assert core.current_frame() is None


def test_each_asyncio_task_has_its_own_current_span(template: Make) -> None:
    """FAULTS 11."""

    async def handle(number: int) -> bool:
        with started(template) as span:
            for _ in range(3):
                await asyncio.sleep(0)
                if core.current_span() is not span:
                    return False
        return core.current_span() is core.NOOP

    async def main() -> list[bool]:
        return await asyncio.gather(*(handle(number) for number in range(20)))

    assert all(asyncio.run(main()))


def test_a_thread_starts_without_a_current_span(template: Make) -> None:
    seen: list[object] = []
    with started(template):
        thread = threading.Thread(target=lambda: seen.append(core.current_span()))
        thread.start()
        thread.join()
    assert seen == [core.NOOP]


def test_a_block_left_in_another_context_than_it_was_entered_in_does_no_harm(template: Make) -> None:
    import contextvars

    span = started(template)
    contextvars.copy_context().run(span.__enter__)
    span.__exit__(None, None, None)
    assert core.current_span() is core.NOOP
    assert not span.is_recording()


def test_a_link_tells_a_span_of_this_process_from_a_context_of_another(template: Make) -> None:
    span, other = started(template), started(template)
    span.add_link(other)
    span.add_link(core.Context.of(other))
    span.add_link(core.Context(other.identity))
    assert [link.remote for link in span.links] == [False, False, True]
    assert span.links[0].context == span.links[1].context
