"""What is current, and what stands on a frame."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import mqtrace
from mqtrace import core

PARENT = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-03"
Make = Callable[..., core.Template]


class Foreign:
    """Another tracer's span, as a frame."""

    state = None
    baggage = None
    decision: core.Decision = "flag"
    ended = 0
    token = None

    def __init__(self, identity: bytes | None, remote: bool) -> None:
        self.identity = identity
        self.remote = remote


@pytest.mark.parametrize("remote", [False, True])
def test_whether_the_parent_is_remote_is_what_its_frame_says(template: Make, remote: bool) -> None:
    frame = Foreign(PARENT, remote)
    token = core.attach(frame)
    try:
        made: Any = [
            core.start(template(), core.current_frame(), core.Span),
            core.start_send(template(kind="producer")),
        ]
    finally:
        core.detach(token)
    assert [span.parent for span in made] == [PARENT, PARENT]
    assert [span.parent_remote for span in made] == [remote, remote]


def test_a_root_has_no_remote_parent(template: Make) -> None:
    span: Any = core.start(template(), core.Context(None, None, {"a": "b"}), core.Span)
    assert span.parent is None
    assert span.parent_remote is False


def test_the_context_of_a_span_is_local_and_an_extracted_one_is_remote(template: Make) -> None:
    span: Any = core.start(template(), None, core.Span)
    assert core.Context.of(span).remote is False
    assert core.Context(PARENT).remote is True
    assert pickle.loads(pickle.dumps(core.Context.of(span))).remote is False
    child: Any = core.start(template(), core.Context.of(span), core.Span)
    assert child.parent_remote is False


def test_a_frame_of_ones_own_has_all_five_attributes() -> None:
    frame: Any = Foreign(PARENT, True)
    assert core.is_frame(frame)
    del frame.remote
    assert not core.is_frame(frame)


def test_open_frames_are_the_blocks_around_the_innermost_first(template: Make) -> None:
    outer: Any = core.start(template(), None, core.Span)
    inner: Any = core.start(template(), None, core.Span)
    assert list(core.open_frames()) == []
    with outer, inner, outer:
        assert list(core.open_frames()) == [outer, inner, outer]
    token = core.attach(None)
    with outer:
        assert list(core.open_frames()) == [outer]
    core.detach(token)


async def _closed_in_another_task(block: Any) -> Any:
    """What is current after an asynchronous generator with this block was closed by another task."""

    async def turns() -> AsyncIterator[None]:
        with block:
            yield

    generator: Any = turns()
    await generator.__anext__()
    await asyncio.create_task(generator.aclose())
    return core.current_frame()


@pytest.mark.parametrize("rate", [0, 1])
def test_a_span_that_another_task_left_is_nobodys_parent(rate: int) -> None:
    """What has ended is not current, in whichever task its block was entered."""
    tracer = mqtrace.Tracer("shop", rate, exporter="none:")

    async def main() -> None:
        assert await _closed_in_another_task(tracer.start_span("a")) is None or rate == 0
        assert mqtrace.current_span().trace_id == "0" * 32
        assert tracer.start_span("b").parent_id is None
        carrier: dict[str, str] = {}
        tracer.inject(carrier)
        assert carrier == {}

    asyncio.run(main())


@pytest.mark.parametrize("rate", [0, 1])
def test_what_was_current_around_it_is_current_again(rate: int) -> None:
    tracer = mqtrace.Tracer("shop", rate, exporter="none:")

    async def main() -> None:
        with tracer.start_span("around") as around:
            await _closed_in_another_task(tracer.start_span("a"))
            await _closed_in_another_task(tracer.start_span("b"))
            assert mqtrace.current_span().span_id == around.span_id
            if rate:
                assert tracer.start_span("c").parent_id == around.span_id
        assert core.current_frame() is None

    asyncio.run(main())


def test_a_message_sent_after_it_starts_a_trace(template: Make) -> None:
    async def main() -> Any:
        left: Any = core.start(template(), None, core.Span)
        await _closed_in_another_task(left)
        return core.start_send(template(kind="producer")), left

    sent, left = asyncio.run(main())
    assert sent.parent is None
    assert sent.trace_id != left.trace_id


def test_a_context_that_another_task_left_is_not_current_either(template: Make) -> None:
    context = core.Context(PARENT)

    async def main() -> None:
        await _closed_in_another_task(mqtrace.use(context))
        assert mqtrace.current_span().trace_id == "0" * 32

    asyncio.run(main())
    assert context == core.Context(PARENT)


@pytest.mark.parametrize("rate", [0, 1])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("around", [False, True])
def test_blocks_of_two_generators_that_take_turns_leave_nothing_current(rate: int, first: int, around: bool) -> None:
    tracer = mqtrace.Tracer("shop", rate, exporter="none:")

    def work(name: str) -> Generator[Any, None, None]:
        with tracer.start_span(name) as span:
            yield span
            yield span

    with mqtrace.use(core.Context(PARENT) if around else None):
        before = mqtrace.current_span().span_id
        works = [work("a"), work("b")]
        spans = [next(one) for one in works]
        assert mqtrace.current_span() is spans[1]
        works.pop(first).close()
        next(works[0])
        works[0].close()
        assert mqtrace.current_span().span_id == before
        assert tracer.start_span("later").parent_id == (before if around else None)
        with spans[0]:  # what is over may be entered again
            assert mqtrace.current_span().span_id == spans[0].span_id
        assert mqtrace.current_span().span_id == before
    assert core.current_frame() is None


def test_contexts_of_two_generators_that_take_turns_leave_nothing_current() -> None:
    def work(number: int) -> Generator[None, None, None]:
        with mqtrace.use(core.Context(b"00-%032x-%016x-01" % (number, number))):
            yield

    with mqtrace.use(core.Context(PARENT)):
        works = [work(1), work(2)]
        for one in works:
            next(one)
        assert mqtrace.current_span().span_id == f"{2:016x}"
        for one in works:
            one.close()
        assert mqtrace.current_span().span_id == "b2" * 8
    assert not mqtrace.current_span().is_valid


@pytest.mark.parametrize("kind", ["context", "span", "nothing"])
def test_one_use_serves_many_threads_and_tasks_at_once(template: Make, kind: str) -> None:
    frames: dict[str, Any] = {
        "context": core.Context(PARENT),
        "span": core.start(template(), None, core.Span),
        "nothing": None,
    }
    used = mqtrace.use(frames[kind])
    trace_id = frames[kind].trace_id if frames[kind] is not None else "0" * 32
    both = threading.Barrier(2)

    def work(first_to_leave: bool) -> tuple[str, str]:
        with used, used:
            both.wait(5)
            if not first_to_leave:
                both.wait(5)
            inside = mqtrace.current_span().trace_id
        if first_to_leave:
            both.wait(5)
        return inside, mqtrace.current_span().trace_id

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [True, False])) == [(trace_id, "0" * 32)] * 2

    async def task(number: int) -> tuple[str, str]:
        with used:
            await asyncio.sleep(0.001 * (number % 3))
            inside = mqtrace.current_span().trace_id
        return inside, mqtrace.current_span().trace_id

    async def main() -> None:
        assert await asyncio.gather(*map(task, range(10))) == [(trace_id, "0" * 32)] * 10

    asyncio.run(main())


def test_a_span_that_was_ended_in_its_block_is_a_parent_still(template: Make) -> None:
    with core.start(template(), None, core.Span) as span:
        span.end()
        assert core.current_frame() is span
        sent: Any = core.start_send(template(kind="producer"))
        assert sent.parent == span.identity
