"""aiokafka's transactions, on a real Kafka: they are the client's own, and what is sent within one has its span."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import IllegalOperation  # type: ignore[import-untyped]  # ditto

import mqtrace
from mqtrace.testing import Spans, record

Make = Callable[[str], Any]


def as_object(servers: str) -> Any:
    return mqtrace.wrap(AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"t-{uuid.uuid4().hex}"))


def as_class(servers: str) -> Any:
    return mqtrace.wrap(AIOKafkaProducer)(bootstrap_servers=servers, transactional_id=f"t-{uuid.uuid4().hex}")


@pytest.fixture(params=[as_object, as_class])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record() as found:
        yield found


@pytest.fixture
def topic(kafka_bootstrap: str, make_topic: Callable[..., str]) -> str:
    return make_topic(kafka_bootstrap)


def run(make: Make, servers: str, test: Callable[[Any], Awaitable[None]]) -> None:
    """Run a test with a producer of transactions; its loop may complain of nothing."""
    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with make(servers) as producer:
            await asyncio.wait_for(test(producer), 60)

    asyncio.run(main())
    assert complaints == []


async def committed(servers: str, topic: str, count: int, **settings: Any) -> list[Any]:
    """What a consumer that reads committed messages only finds first."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **settings,
    )
    async with mqtrace.wrap(consumer) as wrapped:
        return [await asyncio.wait_for(wrapped.getone(), 30) for _ in range(count)]


def test_what_is_committed_arrives_and_what_is_aborted_does_not_and_each_has_its_send_span(
    kafka_bootstrap: str, topic: str, spans: Spans, make: Make
) -> None:
    found: list[Any] = []

    async def test(producer: Any) -> None:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", partition=0)
        await producer.abort_transaction()
        await producer.begin_transaction()
        future = await producer.send(topic, b"committed", partition=0)
        await producer.commit_transaction()
        assert future.done()
        found.extend(await committed(kafka_bootstrap, topic, 1))

    run(make, kafka_bootstrap, test)
    (message,) = found
    aborted, kept = spans.named(f"send {topic}")
    assert (message.value, dict(message.headers)["traceparent"]) == (b"committed", kept.identity)
    # the broker has what is aborted, too: nobody who reads committed messages is given it
    assert [span.status for span in (aborted, kept)] == ["unset", "unset"]
    assert kept.attributes["messaging.kafka.offset"] == message.offset
    assert aborted.attributes["messaging.kafka.offset"] < message.offset


def test_a_block_aborts_with_what_leaves_it_and_its_spans_are_below_what_is_current(
    kafka_bootstrap: str, topic: str, spans: Spans, make: Make
) -> None:
    async def test(producer: Any) -> None:
        with pytest.raises(ZeroDivisionError):
            async with producer.transaction():
                await producer.send_and_wait(topic, b"lost", partition=0)
                raise ZeroDivisionError
        with spans.tracer.start_span("work"):
            async with producer.transaction():
                await producer.send(topic, b"kept", partition=0)
        (message,) = await committed(kafka_bootstrap, topic, 1)
        assert message.value == b"kept"

    run(make, kafka_bootstrap, test)
    _, kept = spans.named(f"send {topic}")
    (work,) = spans.named("work")
    assert kept.parent_id == work.span_id
    assert not mqtrace.current_span().is_recording()


def test_a_send_outside_of_a_transaction_is_refused_in_the_clients_words_and_on_its_span(
    kafka_bootstrap: str, topic: str, spans: Spans, make: Make
) -> None:
    async def test(producer: Any) -> None:
        with pytest.raises(IllegalOperation, match="not in transaction"):
            await producer.send(topic, b"x")

    run(make, kafka_bootstrap, test)
    (span,) = spans.named(f"send {topic}")
    assert (span.status, span.attributes["error.type"]) == ("error", "aiokafka.errors.IllegalOperation")


def test_what_is_read_handled_and_sent_on_in_one_transaction_is_one_trace_and_read_once(
    kafka_bootstrap: str, topic: str, make_topic: Callable[..., str], spans: Spans, make: Make
) -> None:
    onward, group = make_topic(kafka_bootstrap), f"group-{uuid.uuid4().hex[:12]}"

    @mqtrace.consumer
    async def handle(message: Any, producer: Any) -> None:
        await producer.send(onward, b"result of " + message.value, partition=0, headers=list(message.headers))

    async def test(producer: Any) -> None:
        async with producer.transaction():
            await producer.send(topic, b"first", partition=0)
            await producer.send(topic, b"second", partition=0)
        (message,) = await committed(kafka_bootstrap, topic, 1, group_id=group)
        async with producer.transaction():
            await handle(message, producer)
            read = {TopicPartition(topic, 0): message.offset + 1}
            await producer.send_offsets_to_transaction(read, group)
        (result,) = await committed(kafka_bootstrap, onward, 1)
        assert result.value == b"result of first"
        (second,) = await committed(kafka_bootstrap, topic, 1, group_id=group)
        assert second.value == b"second"  # its offset was of the transaction

    run(make, kafka_bootstrap, test)
    first, _ = spans.named(f"send {topic}")
    (process,) = spans.named(f"process {topic}")
    (sent_on,) = spans.named(f"send {onward}")
    assert (process.parent_id, sent_on.parent_id) == (first.span_id, process.span_id)
    assert len({span.trace_id for span in (first, process, sent_on)}) == 1


def test_a_batch_within_a_transaction_has_its_spans(kafka_bootstrap: str, topic: str, spans: Spans, make: Make) -> None:
    async def test(producer: Any) -> None:
        async with producer.transaction():
            batch = producer.create_batch()
            for value in (b"1", b"2"):
                assert batch.append(timestamp=None, key=None, value=value) is not None
            await (await producer.send_batch(batch, topic, partition=0))
        messages = await committed(kafka_bootstrap, topic, 2)
        assert [dict(one.headers)["traceparent"] for one in messages] == [one.identity for one in spans.named("create")]

    run(make, kafka_bootstrap, test)
    (sent,) = spans.named(f"send {topic}")
    assert [link.context.span_id for link in sent.links] == [one.span_id for one in spans.named("create")]
