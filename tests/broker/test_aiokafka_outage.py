"""20,000 messages of aiokafka through what happens to services: each has its spans, and none has one too many."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import CommitFailedError, IllegalStateError  # type: ignore[import-untyped]  # ditto

import mqtrace
from mqtrace.testing import record

MESSAGES = 20_000


def ids(spans: list[Any]) -> set[str]:
    return {span.span_id for span in spans}


def test_every_message_has_its_spans_through_a_graceful_stop_and_a_rebalance(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    topic, group = make_topic(kafka_bootstrap, 4), f"group-{uuid.uuid4().hex[:12]}"
    producer_class, consumer_class = mqtrace.wrap(AIOKafkaProducer), mqtrace.wrap(AIOKafkaConsumer)
    handled: list[bytes] = []

    @mqtrace.consumer
    async def handle(message: Any) -> None:
        handled.append(message.value)

    async def consume(stop: Callable[[], bool]) -> None:
        settings = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
        async with consumer_class(topic, bootstrap_servers=kafka_bootstrap, **settings) as consumer:
            while not stop():
                for messages in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
                    for message in messages:
                        await handle(message)
                with contextlib.suppress(CommitFailedError, IllegalStateError):  # a rebalance
                    await consumer.commit()

    def all_there() -> bool:
        return len(set(handled)) == MESSAGES

    async def main() -> None:
        async with producer_class(bootstrap_servers=kafka_bootstrap) as producer:
            first = asyncio.ensure_future(consume(lambda: len(handled) > MESSAGES // 2))  # stops in the middle
            second: Any = None
            futures = []
            for number in range(MESSAGES):
                futures.append(await producer.send(topic, b"%d" % number))
                if number == MESSAGES // 4:
                    second = asyncio.ensure_future(consume(all_there))  # which makes the group rebalance
                if number % 500 == 0:
                    await asyncio.sleep(0.01)
            await asyncio.gather(*futures)
            await asyncio.wait_for(asyncio.gather(first, second), 120)

    with record() as spans:
        asyncio.run(main())
    sent, processed = spans.named(f"send {topic}"), spans.named(f"process {topic}")
    assert (len(sent), {span.status for span in sent}) == (MESSAGES, {"unset"})
    assert len(processed) == len(handled)  # one a delivery, also of what came again
    assert {span.parent_id for span in processed} == ids(sent)
    assert {span.attributes["messaging.consumer.group.name"] for span in processed} == {group}
    assert not mqtrace.current_span().is_recording()


def test_every_message_has_its_span_while_the_broker_is_killed_and_comes_back(own_kafka: Any) -> None:
    servers, topic = own_kafka.address, "orders"
    arrived: list[bytes] = []
    failed: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        settings = {"bootstrap_servers": servers, "request_timeout_ms": 60_000, "enable_idempotence": True}
        async with mqtrace.wrap(AIOKafkaProducer)(**settings) as producer:
            futures = []
            for number in range(MESSAGES):
                if number == MESSAGES // 2:
                    own_kafka.kill()
                    back = loop.run_in_executor(None, own_kafka.start)
                futures.append(asyncio.ensure_future(producer.send_and_wait(topic, b"%d" % number)))
                if number % 100 == 0:
                    await asyncio.sleep(0.005)
            await back
            results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 120)
            failed.extend(one for one in results if isinstance(one, BaseException))
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
        async with mqtrace.wrap(consumer) as wrapped:
            while len(set(arrived)) < MESSAGES - len(failed):
                messages = await asyncio.wait_for(wrapped.getmany(timeout_ms=1000), 30)
                for message in mqtrace.each(messages):
                    arrived.append(message.value)

    with record() as spans:
        asyncio.run(main())
    sent, processed = spans.named(f"send {topic}"), spans.named(f"process {topic}")
    assert len(sent) == MESSAGES
    assert [span.status for span in sent].count("error") == len(failed)
    assert len(processed) == len(arrived)
    assert ids([span for span in sent if span.status == "unset"]) <= {str(span.parent_id) for span in processed}
