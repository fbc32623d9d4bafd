"""confluent_kafka.aio's clients, traced, on the embedded cluster: what the contract of clients does not ask."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.aio import AIOConsumer, AIOProducer

import mqtrace
from mqtrace.testing import Spans, record


@pytest.fixture
def topic() -> str:
    return f"aio-{uuid.uuid4().hex[:12]}"


def run(main: Coroutine[Any, Any, Any]) -> list[str]:
    """Run it in a loop of its own. Returns what that loop complained of."""
    complaints: list[str] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        await main
        gc.collect()

    asyncio.run(watched())
    return complaints


@asynccontextmanager
async def producing(cluster: str, timeout_s: float = 0.1, **settings: Any) -> AsyncIterator[Any]:
    configuration = {"bootstrap.servers": cluster, "log_level": 0, **settings}
    async with mqtrace.wrap(AIOProducer)(configuration, buffer_timeout=timeout_s) as producer:
        yield producer


def configured(cluster: str, group: str) -> dict[str, Any]:
    return {"bootstrap.servers": cluster, "group.id": group, "auto.offset.reset": "earliest", "log_level": 0}


async def next_of(consumer: Any) -> Any:
    while (message := await consumer.poll(0.2)) is None or message.error() is not None:
        pass
    return message


def test_a_future_is_done_without_a_flush_even_where_the_client_flushes_by_itself_never(
    cluster: str, topic: str, spans: Spans
) -> None:
    async def main() -> None:
        async with producing(cluster, timeout_s=0) as producer:
            message = await asyncio.wait_for(await producer.produce(topic, b"x", b"k", partition=1), 10)
            assert (message.topic(), message.partition(), message.key()) == (topic, 1, b"k")
            (span,) = spans
            assert span.attributes["messaging.destination.partition.id"] == "1"
            assert span.attributes["messaging.kafka.offset"] == message.offset()
            while len(producer):  # librdkafka lets go of a message after its report
                await asyncio.sleep(0.01)

    assert run(main()) == []


def test_after_flush_every_future_is_done_and_every_span_ended(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster, timeout_s=60) as producer:
            futures = [await producer.produce(topic, b"x") for _ in range(2500)]
            assert await producer.flush() == 0
            assert all(future.done() for future in futures)
            assert len(spans) == 2500

    assert run(main()) == []
    assert {span.status for span in spans} == {"unset"}


def test_a_future_that_nobody_awaits_ends_its_span_too(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            await producer.produce(topic, None)

    assert run(main()) == []
    assert [span.attributes["messaging.kafka.message.tombstone"] for span in spans] == [True]


def test_a_future_is_done_however_slowly_a_thread_is_handed_the_reports(cluster: str, topic: str, spans: Spans) -> None:
    class Slow(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            handed = super().submit(*args, **kwargs)
            time.sleep(0.2)  # the work is done before whoever handed it over knows
            return handed

    async def main() -> None:
        settings = {"bootstrap.servers": cluster, "log_level": 0, "linger.ms": 300}
        async with mqtrace.wrap(AIOProducer)(settings, executor=Slow(2), buffer_timeout=0) as producer:
            await asyncio.wait_for(await producer.produce(topic, b"x"), 10)

    assert run(main()) == []
    assert len(spans) == 1


def test_a_future_that_is_cancelled_or_times_out_ends_its_span_with_that(
    cluster: str, topic: str, spans: Spans
) -> None:
    async def main() -> None:
        async with producing(cluster, **{"linger.ms": 200}) as producer:
            cancelled, late = await producer.produce(topic, b"x"), await producer.produce(topic, b"y")
            cancelled.cancel()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(late, 0.01)
            await producer.flush()

    assert run(main()) == []
    assert [(span.status, span.attributes["error.type"]) for span in spans] == [("error", "CancelledError")] * 2


def test_what_waits_for_its_report_when_its_loop_is_closed_ends_as_an_error_and_a_late_report_is_nobodys(
    topic: str, spans: Spans
) -> None:
    async def send() -> Any:
        nobody = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "message.timeout.ms": 1000}
        producer = mqtrace.wrap(AIOProducer)(nobody, buffer_timeout=0)
        await producer.produce(topic, b"x")
        return producer

    loop: Any = asyncio.new_event_loop()
    came = threading.Event()
    call = loop.call_soon_threadsafe

    def call_soon_threadsafe(*args: Any) -> Any:
        came.set()
        return call(*args)

    loop.call_soon_threadsafe = call_soon_threadsafe
    producer = loop.run_until_complete(send())
    loop.close()
    assert list(spans) == []
    assert came.wait(10)  # the report, and there is no loop
    producer.executor.shutdown()
    del producer
    gc.collect()
    (span,) = spans
    assert (span.status, span.attributes["error.type"]) == ("error", "no_delivery_report")


def test_a_message_that_librdkafka_refuses_fails_its_future_and_its_span(
    cluster: str, topic: str, spans: Spans
) -> None:
    async def main() -> None:
        async with producing(cluster, **{"message.max.bytes": 1000}) as producer:
            future = await producer.produce(topic, b"x" * 5000)
            with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
                await future

    assert run(main()) == []
    assert [span.status for span in spans] == ["error"]


def test_headers_are_refused_as_by_the_bare_client(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            with pytest.raises(NotImplementedError, match="not supported in AIOProducer"):
                await producer.produce(topic, b"x", headers=[("a", b"b")])

    assert run(main()) == []
    assert [span.attributes["error.type"] for span in spans] == ["NotImplementedError"]


def test_a_value_that_a_batch_refuses_is_refused_by_the_batch(cluster: str, topic: str, spans: Spans) -> None:
    async def refusal(producer: Any) -> str:
        future = await producer.produce(topic, 7)
        with pytest.raises(TypeError) as raised:
            await producer.flush()
        with pytest.raises(TypeError):
            await future
        mqtrace.unwrap(producer)._batch_processor.clear_buffer()
        return str(raised.value)

    async def main() -> None:
        settings = {"bootstrap.servers": cluster, "log_level": 0}
        bare = AIOProducer(settings, buffer_timeout=0)
        traced = mqtrace.wrap(AIOProducer({**settings}, buffer_timeout=0))
        assert await refusal(traced) == await refusal(bare)
        for one in (bare, traced):
            await one.close()

    run(main())
    assert [span.attributes["error.type"] for span in spans] == ["TypeError"]


def test_without_propagators_messages_go_in_the_clients_own_batch(cluster: str, topic: str) -> None:
    async def main() -> None:
        async with producing(cluster, timeout_s=60) as producer:
            future = await producer.produce(topic, b"x")
            assert producer._batch_processor.get_buffer_size() == 1
            await producer.flush()
            assert (await future).offset() == 0

    with record(propagators="none") as spans:
        assert run(main()) == []
    assert [(span.status, span.attributes["messaging.kafka.offset"]) for span in spans] == [("unset", 0)]


def test_a_program_that_ends_without_closing_its_producer_ends(cluster: str, topic: str) -> None:
    """Whoever serves reports gives way to the end of the loop, of the executor and of the interpreter."""
    program = """
import asyncio, sys, mqtrace
from confluent_kafka.aio import AIOProducer
mqtrace.configure("test", sampler=1.0, exporter="none:")
async def main():
    producer = mqtrace.wrap(AIOProducer({"bootstrap.servers": "127.0.0.1:9", "log_level": 0}))
    await producer.produce(sys.argv[1], b"x")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program, topic], timeout=20, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "mqtrace" not in done.stderr


def test_a_consumer_says_its_group_and_hands_itself_to_its_callbacks(cluster: str, topic: str, spans: Spans) -> None:
    given: list[Any] = []

    async def main(make: Any) -> None:
        async with producing(cluster) as producer:
            await (await producer.produce(topic, b"x", partition=0))
        async with make(configured(cluster, f"group-{topic}-{len(given)}")) as consumer:

            async def assigned(one: Any, partitions: Any) -> None:
                given.append(one is consumer)

            await consumer.subscribe([topic], on_assign=assigned)
            with mqtrace.process(await next_of(consumer)) as span:
                pass
            assert isinstance(span, mqtrace.Span)
            assert str(span.attributes["messaging.consumer.group.name"]).startswith(f"group-{topic}")

    assert run(main(mqtrace.wrap(AIOConsumer))) == []
    options = {"group_id": f"group-{topic}"}
    assert run(main(lambda settings: mqtrace.wrap(AIOConsumer(settings), tracer=None, **options))) == []
    assert given == [True, True]


def test_receive_and_settle_spans_are_made_where_they_are_asked_for(cluster: str, topic: str) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            for _ in range(2):
                await (await producer.produce(topic, b"x", partition=0))
        async with mqtrace.wrap(AIOConsumer)(configured(cluster, topic)) as consumer:
            await consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
            await next_of(consumer)
            assert len(await consumer.consume(1, 10)) == 1
            await consumer.commit(asynchronous=False)

    with record(receive_spans=True, settle_spans=True) as spans:
        assert run(main()) == []
    assert [span.attributes.get("messaging.batch.message_count") for span in spans.named(f"poll {topic}")] == [None, 1]
    assert len(spans.named("commit")) == 1


def test_the_producer_within_is_not_traced_again_where_its_class_has_been_put_in_place(
    cluster: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluent_kafka, "Producer", mqtrace.wrap(confluent_kafka.Producer))

    async def main() -> None:
        async with producing(cluster) as producer:
            await (await producer.produce(topic, b"x", partition=0))

    for propagators in (None, "none"):
        with record(propagators=propagators) as spans:
            assert run(main()) == []
        assert [span.name for span in spans] == [f"send {topic}"]


@pytest.mark.parametrize("option", ["on_delivery", "delivery_report_only_error", "colour"])
def test_an_option_that_would_be_ignored_is_refused(option: str) -> None:
    for client in (AIOProducer, AIOConsumer):
        with pytest.raises(mqtrace.ConfigurationError, match=f"'{option}'.*write.*client_id"):
            mqtrace.wrap(client, **{option: None})
