"""The asynchronous surface of handlers, on messages made by hand: async blocks, messages by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import mqtrace
from mqtrace.testing import Spans

Make = Callable[..., Any]


def headers(number: int) -> list[tuple[str, bytes]]:
    return [("traceparent", f"00-{number:032x}-{number:016x}-03".encode())]


def by_partition(message: Make) -> dict[Any, list[Any]]:
    """As aiokafka's and kafka-python's consumers return what they have."""
    return {
        ("orders", partition): [message(headers=headers(3 * partition + number)) for number in range(1, 4)]
        for partition in range(2)
    }


def test_process_works_with_async_with(message: Make, spans: Spans) -> None:
    async def handle() -> None:
        async with mqtrace.process(message(headers=headers(1))) as span:
            await asyncio.sleep(0)
            assert mqtrace.current_span() is span
        assert not mqtrace.current_span().is_recording()

    asyncio.run(handle())
    assert [span.parent_id for span in spans] == [f"{1:016x}"]


def test_what_leaves_an_async_block_is_on_its_span(message: Make, spans: Spans) -> None:
    async def handle() -> None:
        async with mqtrace.process(message()):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(handle())
    assert [(span.status, span.attributes["error.type"]) for span in spans] == [("error", "ValueError")]


def test_an_async_block_of_no_message_is_no_span(spans: Spans) -> None:
    async def handle() -> None:
        async with mqtrace.process(None), mqtrace.batch([]):
            assert not mqtrace.current_span().is_recording()

    asyncio.run(handle())
    assert spans == []


def test_a_batch_takes_messages_by_partition(message: Make, spans: Spans) -> None:
    async def handle() -> None:
        async with mqtrace.batch(by_partition(message)):
            pass

    asyncio.run(handle())
    (span,) = spans
    assert span.attributes["messaging.batch.message_count"] == 6
    assert [link.context.span_id for link in span.links] == [f"{number:016x}" for number in range(1, 7)]


def test_each_takes_messages_by_partition(message: Make, spans: Spans) -> None:
    messages = by_partition(message)
    assert list(mqtrace.each(messages)) == [one for some in messages.values() for one in some]
    assert [span.parent_id for span in spans] == [f"{number:016x}" for number in range(1, 7)]


def test_no_messages_by_partition_are_no_span(spans: Spans) -> None:
    with mqtrace.batch({}), mqtrace.batch({("orders", 0): []}):
        assert list(mqtrace.each({})) == []
    assert spans == []


def test_a_mapping_of_something_else_is_iterated_as_it_is(message: Make, spans: Spans) -> None:
    one = message(headers=headers(1))
    assert list(mqtrace.each({"a": one})) == ["a"]
    assert spans.tracer.stats()["messages_unknown"] == 1
