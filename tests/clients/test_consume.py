"""The decorator, the block, the loop and the batch, on messages made by hand."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import mqtrace
from mqtrace.core import ProcessSpan
from mqtrace.testing import Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
HEADERS = [("traceparent", f"00-{TRACE}-{PARENT}-03".encode())]
UNSAMPLED = [("traceparent", f"00-{TRACE}-{PARENT}-02".encode())]
Make = Callable[..., Any]


def other(number: int) -> list[tuple[str, bytes]]:
    return [("traceparent", f"00-{number:032x}-{number:016x}-03".encode())]


# ---------------------------------------------------------------------- the decorator


def test_a_handler_runs_inside_the_span_of_its_message(message: Make, spans: Spans) -> None:
    @mqtrace.consumer
    def handle(incoming: Any) -> str:
        seen.append(mqtrace.current_span())
        return "done"

    seen: list[Any] = []
    assert handle(message(headers=HEADERS, partition=3, offset=0)) == "done"
    (span,) = spans
    assert seen == [span]
    assert span.name == "process orders"
    assert span.kind == "consumer"
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert [link.context.span_id for link in span.links] == [PARENT]
    assert span.attributes["messaging.system"] == "kafka"
    assert span.attributes["messaging.operation.name"] == "process"
    assert span.attributes["messaging.operation.type"] == "process"
    assert span.attributes["messaging.destination.name"] == "orders"
    assert span.attributes["messaging.destination.partition.id"] == "3"
    assert span.attributes["messaging.kafka.offset"] == 0
    latency = span.attributes["messaging.message.receive.latency"]
    assert isinstance(latency, float)
    assert latency > 0
    assert "messaging.kafka.message.tombstone" not in span.attributes
    assert mqtrace.current_span().trace_id == "0" * 32


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_what_a_handler_raises_is_recorded_and_goes_on(message: Make, spans: Spans, error: BaseException) -> None:
    """FAULTS 9."""

    @mqtrace.consumer
    def handle(incoming: Any) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        handle(message(headers=HEADERS))
    assert caught.value is error
    assert spans[0].status == "error"
    assert spans[0].attributes["error.type"] == type(error).__name__
    assert mqtrace.current_span().trace_id == "0" * 32


def test_an_interrupt_after_the_handler_returned_loses_no_span(message: Make, spans: Spans, interrupt_end: Any) -> None:
    interrupt_end(ProcessSpan)
    with pytest.raises(KeyboardInterrupt):
        mqtrace.consumer(len)(message(headers=HEADERS))
    assert [span.attributes["error.type"] for span in spans] == ["KeyboardInterrupt"]
    assert mqtrace.current_span().trace_id == "0" * 32


def test_the_message_is_found_by_its_type_wherever_it_stands(message: Make, spans: Spans) -> None:
    class Service:
        @mqtrace.consumer
        def method(self, incoming: Any, flag: bool = False) -> bool:
            return flag

        @classmethod
        @mqtrace.consumer
        def class_method(cls, incoming: Any) -> None: ...

        @staticmethod
        @mqtrace.consumer
        def static_method(incoming: Any) -> None: ...

        @mqtrace.consumer
        @classmethod
        def outside(cls, incoming: Any) -> None: ...

    @mqtrace.consumer
    def last(number: int, *, incoming: Any) -> int:
        return number

    one = message(headers=HEADERS)
    assert Service().method(one, flag=True) is True
    assert Service().method(incoming=one) is False
    Service.class_method(one)
    Service.static_method(one)
    Service.outside(one)
    assert last(7, incoming=one) == 7
    assert [span.trace_id for span in spans] == [TRACE] * 6


def test_a_handler_without_a_message_is_called_as_it_is(spans: Spans) -> None:
    @mqtrace.consumer
    def handle(*arguments: Any, **named: Any) -> Any:
        return arguments, named

    assert handle() == ((), {})
    assert handle(None) == ((None,), {})
    assert handle(1, two=2) == ((1,), {"two": 2})
    assert not spans


def test_a_decorated_handler_keeps_its_name_and_signature(message: Make) -> None:
    @mqtrace.consumer(name="whole name", relation="link")
    def handle(incoming: Any) -> None:
        """What it does."""

    assert handle.__name__ == "handle"
    assert handle.__doc__ == "What it does."


def test_name_is_the_whole_span_name_and_link_starts_a_new_trace(message: Make, spans: Spans) -> None:
    @mqtrace.consumer(name="whole name", relation="link")
    def handle(incoming: Any) -> None: ...

    handle(message(headers=HEADERS))
    (span,) = spans
    assert span.name == "whole name"
    assert span.parent_id is None
    assert span.trace_id != TRACE
    assert [link.context.span_id for link in span.links] == [PARENT]


def test_a_wrong_relation_is_one_sentence(message: Make) -> None:
    with pytest.raises(mqtrace.ConfigurationError, match="write 'parent' or 'link'"):
        mqtrace.consumer(relation="child")(lambda incoming: None)
    with pytest.raises(TypeError, match="cannot be called"):
        mqtrace.consumer(7)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": 3}, "name=3 is not a name"),
        ({"name": ["a"]}, "is not a name"),
        ({"tracer": 3}, "tracer=3 is not a tracer"),
    ],
)
def test_a_wrong_argument_of_the_decorator_is_one_sentence(wrong: Any, said: str) -> None:
    with pytest.raises(mqtrace.ConfigurationError, match=said):
        mqtrace.consumer(**wrong)(lambda incoming: None)


@pytest.mark.parametrize("wrong", [{"name": 3}, {"name": ["a"]}, {"relation": "child"}, {"relation": []}])
def test_a_wrong_argument_of_a_block_costs_no_message_and_is_counted(message: Make, spans: Spans, wrong: Any) -> None:
    with mqtrace.process(message(headers=HEADERS), **wrong):
        pass
    (span,) = spans
    assert (span.name, span.parent_id) == ("process orders", PARENT)
    assert spans.tracer.stats()["calls_ignored"] == 1


@pytest.mark.parametrize("wrong", [3, ["a"]])
def test_a_wrong_name_of_a_batch_is_counted(message: Make, spans: Spans, wrong: Any) -> None:
    with mqtrace.batch([message(headers=HEADERS)], name=wrong):
        pass
    assert [span.name for span in spans] == ["process orders"]
    assert spans.tracer.stats()["calls_ignored"] == 1


def test_decorating_twice_is_decorating_once(message: Make, spans: Spans) -> None:
    """FAULTS 18."""
    once = mqtrace.consumer(name="cook")(lambda incoming: incoming)
    assert mqtrace.consumer(once) is once
    again = mqtrace.consumer(name="cook it well")(once)
    once(message(headers=HEADERS))
    again(message(headers=HEADERS))
    assert [span.name for span in spans] == ["cook", "cook it well"]


def test_a_decorator_between_two_of_ours_still_runs(message: Make, spans: Spans) -> None:
    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counting(incoming: Any) -> Any:
            calls.append(incoming)
            return function(incoming)

        return counting

    calls: list[Any] = []
    mqtrace.consumer(counted(mqtrace.consumer(lambda incoming: None)))(message(headers=HEADERS))
    assert len(calls) == 1
    assert len(spans) >= 1


def test_coroutines_swap_no_contexts(message: Make, spans: Spans) -> None:
    """FAULTS 11."""

    @mqtrace.consumer
    async def handle(incoming: Any) -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return mqtrace.current_span().trace_id

    async def main() -> list[str]:
        seen: list[str] = await asyncio.gather(*(handle(message(headers=other(n))) for n in range(1, 20)))
        return seen

    assert asyncio.run(main()) == [f"{number:032x}" for number in range(1, 20)]
    assert len(spans) == 19


def test_objects_and_partials_are_handlers_too(message: Make, spans: Spans) -> None:
    class Plain:
        def __call__(self, incoming: Any) -> str:
            return mqtrace.current_span().trace_id

    class Async:
        async def __call__(self, incoming: Any) -> str:
            await asyncio.sleep(0)
            return mqtrace.current_span().trace_id

    async def keyed(prefix: str, incoming: Any) -> str:
        return prefix + mqtrace.current_span().trace_id

    one = message(headers=HEADERS)
    assert mqtrace.consumer(Plain())(one) == TRACE
    assert asyncio.run(mqtrace.consumer(Async())(one)) == TRACE
    assert asyncio.run(mqtrace.consumer(functools.partial(keyed, "x"))(one)) == "x" + TRACE
    assert len(spans) == 3


def test_a_cancelled_coroutine_ends_its_span_with_that(message: Make, spans: Spans) -> None:
    @mqtrace.consumer
    async def handle(incoming: Any) -> None:
        await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(handle(message(headers=HEADERS)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert spans[0].attributes["error.type"] == "CancelledError"


def test_a_generator_handler_is_current_inside_only(message: Make, spans: Spans) -> None:
    @mqtrace.consumer
    def handle(incoming: Any) -> Any:
        sent = yield mqtrace.current_span().trace_id
        try:
            yield sent
        except KeyError:
            yield "caught " + mqtrace.current_span().trace_id
        return "result"  # generators may return, and this one's caller looks

    steps: Any = handle(message(headers=HEADERS))
    assert next(steps) == TRACE
    assert mqtrace.current_span().trace_id == "0" * 32
    assert steps.send("given") == "given"
    assert steps.throw(KeyError()) == "caught " + TRACE
    assert not spans
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "result"
    assert [span.status for span in spans] == ["unset"]


def test_a_generator_that_is_closed_early_ends_its_span_without_an_error(message: Make, spans: Spans) -> None:
    cleaned: list[str] = []

    @mqtrace.consumer
    def handle(incoming: Any) -> Iterator[int]:
        try:
            yield 1
        finally:
            cleaned.append(mqtrace.current_span().trace_id)

    steps: Any = handle(message(headers=HEADERS))
    next(steps)
    steps.close()
    assert cleaned == [TRACE]
    assert [span.status for span in spans] == ["unset"]


def test_an_async_generator_is_current_inside_only(message: Make, spans: Spans) -> None:
    @mqtrace.consumer
    async def handle(incoming: Any) -> AsyncIterator[str]:
        yield mqtrace.current_span().trace_id
        await asyncio.sleep(0)
        yield mqtrace.current_span().trace_id

    async def main() -> list[str]:
        seen = []
        async for inside in handle(message(headers=HEADERS)):
            seen += [inside, mqtrace.current_span().trace_id]
        return seen

    assert asyncio.run(main()) == [TRACE, "0" * 32, TRACE, "0" * 32]
    assert len(spans) == 1


# ---------------------------------------------------------------------- the block


def test_a_block_gives_the_span_of_the_message(message: Make, spans: Spans) -> None:
    with mqtrace.process(message(headers=HEADERS)) as span:
        span.set_attribute("mine", 1)
        assert mqtrace.current_span() is span
    assert spans[0].attributes["mine"] == 1


def test_a_message_inside_another_span_is_the_messages_child_and_linked_to_it(message: Make, spans: Spans) -> None:
    with spans.tracer.start_span("around") as around, mqtrace.process(message(headers=HEADERS)) as span:
        pass
    assert span.parent_id == PARENT
    assert {link.context.span_id for link in span.links} == {PARENT, around.span_id}
    assert mqtrace.current_span().trace_id == "0" * 32


def test_a_message_without_a_context_is_the_child_of_what_is_around(message: Make, spans: Spans) -> None:
    with spans.tracer.start_span("around") as around, mqtrace.process(message()) as span:
        pass
    assert span.parent_id == around.span_id
    with mqtrace.process(message()) as root:
        pass
    assert root.parent_id is None
    assert root.links == ()


def test_a_trace_that_is_not_sampled_goes_on_unsampled(message: Make, spans: Spans) -> None:
    with mqtrace.process(message(headers=UNSAMPLED)) as span:
        assert not span.is_recording()
        assert mqtrace.current_span().trace_id == TRACE
        carrier: dict[str, str] = {}
        spans.tracer.inject(carrier)
    assert carrier["traceparent"] == f"00-{TRACE}-{span.span_id}-02"
    assert span.span_id != PARENT  # its own, so that logs tell one message from the next
    assert not spans


def test_a_tombstone_is_a_message(message: Make, spans: Spans) -> None:
    """FAULTS 3."""
    with mqtrace.process(message(value=None, headers=HEADERS)):
        pass
    assert spans[0].attributes["messaging.kafka.message.tombstone"] is True
    assert spans[0].trace_id == TRACE


def test_an_empty_value_is_no_tombstone(message: Make, spans: Spans) -> None:
    with mqtrace.process(message(value=b"", headers=HEADERS)):
        pass
    assert "messaging.kafka.message.tombstone" not in spans[0].attributes


def test_events_and_empty_polls_make_no_span(message: Make, spans: Spans) -> None:
    """FAULTS 4 and 14."""
    calls: list[Any] = []
    handle = mqtrace.consumer(calls.append)
    event = message(error="_PARTITION_EOF")
    handle(event)
    handle(None)
    with mqtrace.process(None) as span:
        assert not span.is_recording()
    with mqtrace.process(event):
        pass
    assert list(mqtrace.each([None, event])) == [None, event]
    with mqtrace.batch([]) as span:
        assert not span.is_recording()
    with mqtrace.batch([None, event]):
        pass
    assert calls == [event, None]
    assert not spans


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", b"\xff\xfe")],
        [("traceparent", None)],
        [("traceparent", b"")],
        [("traceparent", b"00-zz-zz-00")],
        [("traceparent", 7)],
        [("traceparent", HEADERS[0][1].decode())],
        [(b"traceparent", b"x")],
        [("x", b"\xff")] * 1000,
        [("traceparent",)],
        [None],
        {"traceparent": b"nonsense"},
        RuntimeError("headers that cannot be read"),
        "text",
        7,
    ],
)
def test_no_header_raises_or_costs_the_message(message: Make, spans: Spans, headers: Any) -> None:
    """FAULTS 1."""
    handled: list[Any] = []
    handle = mqtrace.consumer(handled.append)
    one = message(headers=headers)
    handle(one)
    assert list(mqtrace.each([one])) == [one]
    with mqtrace.batch([one]):
        pass
    assert handled == [one]


def test_a_malformed_context_is_counted(message: Make, spans: Spans) -> None:
    with mqtrace.process(message(headers=[("traceparent", b"00-zz-00")])) as span:
        pass
    assert span.parent_id is None
    assert mqtrace.stats()["contexts_malformed"] == 1


@pytest.mark.parametrize(("flags", "sampled", "kept"), [("ff", True, "03"), ("0a", False, "02"), ("fd", True, "01")])
def test_flags_that_level_2_does_not_define_are_left_out(
    message: Make, spans: Spans, flags: str, sampled: bool, kept: str
) -> None:
    """Trace Context level 2, 3.2.2.5."""
    with mqtrace.process(message(headers=[("traceparent", f"00-{TRACE}-{PARENT}-{flags}".encode())])) as span:
        carrier: dict[str, str] = {}
        spans.tracer.inject(carrier)
    assert span.is_recording() is False
    assert bool(spans) is sampled
    assert carrier["traceparent"].endswith(kept)


def test_the_last_traceparent_wins(message: Make, spans: Spans) -> None:
    """FAULTS 7."""
    with mqtrace.process(message(headers=[*other(5), *HEADERS])) as span:
        pass
    assert span.parent_id == PARENT


def test_tracestate_and_baggage_reach_the_handler(message: Make, spans: Spans) -> None:
    headers = [*HEADERS, ("tracestate", b"a=1,b=2"), ("baggage", b"user=ann%20b")]
    with mqtrace.process(message(headers=headers)) as span:
        carrier: dict[str, str] = {}
        spans.tracer.inject(carrier)
    assert span.trace_state == "a=1,b=2"
    assert carrier["tracestate"] == "a=1,b=2"
    assert carrier["baggage"] == "user=ann%20b"


# ---------------------------------------------------------------------- the loop


def test_each_message_of_a_loop_is_current_in_the_body(message: Make, spans: Spans) -> None:
    """FAULTS 8 and 10."""
    messages = [message(headers=other(number)) for number in range(1, 4)]
    seen = [mqtrace.current_span().trace_id for _ in mqtrace.each(messages)]
    assert seen == [f"{number:032x}" for number in range(1, 4)]
    assert [span.trace_id for span in spans] == seen
    assert mqtrace.current_span().trace_id == "0" * 32


@pytest.mark.parametrize("flags", ["01", "00"])
@pytest.mark.parametrize("around", [False, True])
def test_two_loops_side_by_side_leave_nothing_current(message: Make, spans: Spans, flags: str, around: bool) -> None:
    def loop(*numbers: int) -> Any:
        headers = [[("traceparent", f"00-{number:032x}-{'b2' * 8}-{flags}".encode())] for number in numbers]
        return mqtrace.each([message(headers=one) for one in headers])

    with mqtrace.use(mqtrace.Context(f"00-{'c3' * 16}-{'d4' * 8}-01".encode()) if around else None):
        before = mqtrace.current_span().trace_id
        seen = [mqtrace.current_span().trace_id for _ in zip(loop(1, 2, 3), loop(11, 12, 13), strict=False)]
        assert seen == [f"{number:032x}" for number in (11, 12, 13)]
        assert mqtrace.current_span().trace_id == before
        sent: dict[str, str] = {}
        spans.tracer.inject(sent)
        assert sent.get("traceparent", f"00-{before}")[3:35] == before
        with mqtrace.start_span("later") as later:
            pass
        assert (later.trace_id == before) is around
    assert len(spans) == (7 if flags == "01" else 1)
    assert mqtrace.current_span().trace_id == "0" * 32


def test_a_loop_is_lazy_and_takes_any_iterable(message: Make, spans: Spans) -> None:
    taken: list[int] = []

    def source() -> Iterator[Any]:
        for number in range(1, 100):
            taken.append(number)
            yield message(headers=other(number))

    for _ in mqtrace.each(source()):
        if len(taken) == 3:
            break
    assert taken == [1, 2, 3]
    assert len(spans) == 3
    assert mqtrace.current_span().trace_id == "0" * 32


def test_an_exception_in_a_loop_ends_the_span(message: Make, spans: Spans) -> None:
    def loop() -> None:
        for _ in mqtrace.each([message(headers=HEADERS)]):
            raise ValueError

    with pytest.raises(ValueError):
        loop()
    assert len(spans) == 1
    assert mqtrace.current_span().trace_id == "0" * 32


# ---------------------------------------------------------------------- the batch


def test_a_batch_is_one_span_with_a_link_to_every_message(message: Make, spans: Spans) -> None:
    """FAULTS 10."""
    messages = [message(headers=other(number), offset=number, partition=number) for number in range(1, 4)]
    with mqtrace.batch(messages) as span:
        assert mqtrace.current_span() is span
    assert span.name == "process orders"
    assert span.kind == "consumer"
    assert span.parent_id is None
    assert span.attributes["messaging.batch.message_count"] == 3
    assert "messaging.kafka.offset" not in span.attributes
    assert [link.context.trace_id for link in span.links] == [f"{number:032x}" for number in range(1, 4)]
    assert [link.attributes["messaging.kafka.offset"] for link in span.links] == [1, 2, 3]
    assert [link.attributes["messaging.destination.partition.id"] for link in span.links] == ["1", "2", "3"]


@pytest.mark.parametrize("topics", [("a", "a"), ("a", "b")])
def test_a_tombstone_in_a_batch_is_said_on_its_link(message: Make, spans: Spans, topics: tuple[str, str]) -> None:
    values = (None, b"x")
    with mqtrace.batch(
        [message(topic=t, headers=HEADERS, value=v) for t, v in zip(topics, values, strict=True)]
    ) as span:
        pass
    assert [link.attributes.get("messaging.kafka.message.tombstone") for link in span.links] == [True, None]


def test_a_batch_of_several_topics_says_them_on_its_links(message: Make, spans: Spans) -> None:
    messages = [message(topic=topic, headers=HEADERS) for topic in ("a", "a", "b", "a")]
    with mqtrace.batch(messages) as span:
        pass
    assert span.name == "process"
    assert "messaging.destination.name" not in span.attributes
    assert [link.attributes["messaging.destination.name"] for link in span.links] == ["a", "a", "b", "a"]


def test_a_batch_of_messages_that_do_not_say_their_topic_is_traced_too(message: Make, spans: Spans) -> None:
    with mqtrace.batch([message(topic=None, headers=HEADERS), message(topic=None)]) as span:
        pass
    assert span.name == "process"
    assert (span.attributes["messaging.batch.message_count"], len(span.links)) == (2, 1)


def test_a_batch_counts_messages_without_a_context_and_no_events(message: Make, spans: Spans) -> None:
    with mqtrace.batch(iter([message(), message(error="x"), message(headers=HEADERS, value=None)]), name="all") as span:
        pass
    assert span.name == "all"
    assert span.attributes["messaging.batch.message_count"] == 2
    assert len(span.links) == 1


@pytest.mark.parametrize(
    ("headers", "malformed"),
    [
        ([("traceparent", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01")], 1),
        ([("traceparent", HEADERS[0][1].upper())], 1),
        ([("traceparent", b"")], 1),
        ([("traceparent", None)], 1),
        ([("traceparents", HEADERS[0][1])], 0),
        (None, 0),
    ],
)
def test_one_context_of_a_batch_that_is_no_good_costs_no_other(
    message: Make, spans: Spans, headers: Any, malformed: int
) -> None:
    messages = [message(headers=other(1)), message(headers=headers), message(headers=other(3))]
    with mqtrace.batch(messages) as span:
        pass
    assert span.attributes["messaging.batch.message_count"] == 3
    assert [link.context.trace_id for link in span.links] == [f"{number:032x}" for number in (1, 3)]
    assert mqtrace.stats()["contexts_malformed"] == malformed


# ---------------------------------------------------------------------- tracers


def test_before_configure_a_context_passes_and_no_span_is_made(message: Make) -> None:
    from mqtrace import tracer

    before = tracer.set_default(None)
    try:
        with mqtrace.process(message(headers=HEADERS)) as span:
            carrier: dict[str, str] = {}
            tracer.default().inject(carrier)
        assert not span.is_recording()
        assert carrier["traceparent"] == HEADERS[0][1].decode()
        with mqtrace.process(message()):
            empty: dict[str, str] = {}
            tracer.default().inject(empty)
        assert empty == {}
    finally:
        tracer.set_default(before)


def test_a_handler_follows_the_default_tracer(message: Make) -> None:
    """FAULTS 18: what was decorated before configure is traced after it."""
    handle = mqtrace.consumer(lambda incoming: None)
    handle(message(headers=HEADERS))
    with record("one") as one:
        handle(message(headers=HEADERS))
        with record("two") as two:
            handle(message(headers=HEADERS))
        handle(message(headers=HEADERS))
    assert [span.service for span in one] == ["one", "one"]
    assert [span.service for span in two] == ["two"]


def test_a_tracer_of_its_own_needs_no_global_state(message: Make, spans: Spans) -> None:
    with record("own") as own:
        mine = own.tracer

    @mine.consumer
    def handle(incoming: object) -> None: ...

    handle(message(headers=HEADERS))
    with mine.process(message(headers=HEADERS)):
        pass
    list(mine.each([message(headers=HEADERS)]))
    with mine.batch([message(headers=HEADERS)]):
        pass
    assert [span.service for span in own] == ["own"] * 4
    assert not spans


def test_use_carries_a_context_to_a_thread(message: Make, spans: Spans) -> None:
    seen: list[str] = []
    with mqtrace.process(message(headers=HEADERS)) as span:

        def work() -> None:
            with mqtrace.use(span):
                seen.append(mqtrace.current_span().span_id)
            seen.append(mqtrace.current_span().span_id)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [span.span_id, "0" * 16]


# ---------------------------------------------------------------------- the loop as a block


def test_a_loop_that_is_broken_off_in_its_block_leaves_nothing_current(message: Make, spans: Spans) -> None:
    with mqtrace.each([message(headers=HEADERS), message()]) as loop:
        for _ in loop:
            assert mqtrace.current_span().trace_id == TRACE
            break
        assert mqtrace.current_span().trace_id == TRACE  # the iterator is kept, so it can go on
    assert mqtrace.current_span().trace_id == "0" * 32
    assert [span.status for span in spans] == ["unset"]
    assert list(loop) == []


def test_an_exception_that_leaves_the_block_is_the_messages(message: Make, spans: Spans) -> None:
    with pytest.raises(ValueError, match="in the body"), mqtrace.each([message(headers=HEADERS)] * 2) as loop:
        for _ in loop:
            raise ValueError("in the body")
    assert mqtrace.current_span().trace_id == "0" * 32
    (span,) = spans
    assert (span.status, span.status_description) == ("error", "in the body")
    assert span.attributes["error.type"] == "ValueError"


def test_an_exception_between_two_messages_is_nobodys(message: Make, spans: Spans) -> None:
    with pytest.raises(ValueError, match="after"), mqtrace.each([message(headers=HEADERS)]) as loop:
        list(loop)
        raise ValueError("after")
    assert [span.status for span in spans] == ["unset"]


def test_a_bare_loop_is_an_iterator_still(message: Make, spans: Spans) -> None:
    turns = mqtrace.each(iter([message(headers=HEADERS), message()]))
    next(turns)
    assert mqtrace.current_span().trace_id == TRACE
    assert len(list(turns)) == 1
    assert len(spans) == 2
    for _ in mqtrace.each([message()]):
        break
    assert mqtrace.current_span().trace_id == "0" * 32
    assert len(spans) == 3


def test_each_of_an_asynchronous_iterable_is_asynchronous(message: Make, spans: Spans) -> None:
    async def source() -> AsyncIterator[Any]:
        for number in range(3):
            await asyncio.sleep(0)
            yield message(headers=other(number + 1))

    async def main() -> list[str]:
        seen = []
        async for _ in mqtrace.each(source()):
            await asyncio.sleep(0)
            seen.append(mqtrace.current_span().trace_id)
        async with mqtrace.each(source()) as loop:
            async for _ in loop:
                break
        with pytest.raises(ValueError, match="body"):
            async with mqtrace.each(source()) as loop:
                async for _ in loop:
                    raise ValueError("body")
        assert mqtrace.current_span().trace_id == "0" * 32
        return seen

    assert asyncio.run(main()) == [f"{number:032x}" for number in (1, 2, 3)]
    assert [span.status for span in spans] == ["unset"] * 4 + ["error"]
    with pytest.raises(TypeError, match="async for over"):
        iter(mqtrace.each(source()))
    with pytest.raises(TypeError, match="write for over"):
        aiter(mqtrace.each([]))


# ---------------------------------------------------------------------- what is no message


class ForeignRecord:
    topic, headers = "orders", HEADERS


class Another(ForeignRecord):
    pass


def handled(given: Any) -> None:
    assert mqtrace.consumer(lambda record: record)(given) is given


def processed(given: Any) -> None:
    with mqtrace.process(given) as span:
        assert not span.is_recording()


def looped(given: Any) -> None:
    assert list(mqtrace.each([given])) == [given]


def batched(given: Any) -> None:
    with mqtrace.batch([given]) as span:
        assert not span.is_recording()


@pytest.mark.parametrize("use", [handled, processed, looped, batched])
def test_what_is_no_message_is_counted_and_said_once_by_its_type(
    use: Callable[[Any], None], spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    for given in (ForeignRecord(), ForeignRecord(), Another()):
        use(given)
    assert spans.tracer.stats()["messages_unknown"] == 3
    assert [name in caplog.text for name in ("ForeignRecord", "Another")] == [True, True]
    assert len(caplog.records) == 2
    assert spans == []


@pytest.mark.parametrize("use", [handled, processed, looped, batched])
@pytest.mark.parametrize("given", [None, (None, None), (None, None, None)])
def test_an_empty_poll_is_nothing_to_count(
    use: Callable[[Any], None], given: Any, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    use(given)
    assert spans.tracer.stats()["messages_unknown"] == 0
    assert caplog.records == []


def test_a_batch_leaves_out_what_it_does_not_know(message: Make, spans: Spans) -> None:
    with mqtrace.batch([ForeignRecord(), message(headers=other(1)), None, 5, message(headers=other(2))]):
        pass
    (span,) = spans
    assert span.attributes["messaging.batch.message_count"] == 2
    assert [link.context.trace_id for link in span.links] == [f"{number:032x}" for number in (1, 2)]
    assert spans.tracer.stats()["messages_unknown"] == 2


def test_a_batch_of_what_is_not_several_is_a_batch_of_one(message: Make, spans: Spans) -> None:
    for given in (message(), None, ForeignRecord()):
        with mqtrace.batch(given):  # type: ignore[arg-type]  # that is the mistake
            pass
    (span,) = spans
    assert span.attributes["messaging.batch.message_count"] == 1
    assert spans.tracer.stats()["messages_unknown"] == 1


def test_a_handler_is_counted_once_a_call_and_named_by_its_first_argument(
    message: Make, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    class Service:
        @mqtrace.consumer
        def handle(self, record: Any = "", /, *, key: str = "") -> None: ...

    Service().handle(5, key="k")
    Service().handle(None)
    Service().handle(message(), key="k")
    mqtrace.consumer(lambda: None)()
    assert spans.tracer.stats()["messages_unknown"] == 2
    assert "Service" in caplog.records[0].message
    assert "no argument" in caplog.records[1].message


def test_a_class_is_no_handler() -> None:
    with pytest.raises(TypeError, match="ForeignRecord is a class: decorate the method"):
        mqtrace.consumer(ForeignRecord)
