"""20,000 messages of confluent_kafka.aio through what happens to services: each has its spans, and no span too many."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.aio import AIOConsumer, AIOProducer

import mqtrace
from mqtrace.testing import Spans, record

MESSAGES = 20_000


class Readers:
    """Members of a group, which handle what they read. ``seen``: of each delivery the span that it was handled in."""

    def __init__(self, servers: str, topic: str) -> None:
        self._settings = {
            "bootstrap.servers": servers,
            "group.id": f"group-{uuid.uuid4().hex[:12]}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
        self._topic = topic
        self.group = str(self._settings["group.id"])
        self.values: set[bytes] = set()
        self.seen: list[str] = []

    async def read(self, until: Callable[[], bool]) -> None:
        """Be a member until then, and leave without a message in hand."""
        consumer = mqtrace.wrap(AIOConsumer)(self._settings, max_workers=2)
        await consumer.subscribe([self._topic])
        try:
            while not until():
                for message in mqtrace.each(await consumer.consume(500, timeout=0.2)):
                    if message.error() is None:
                        self.values.add(message.value())
                        self.seen.append(mqtrace.current_span().span_id)
                with contextlib.suppress(KafkaException):  # there is nothing, or the group rebalances
                    await consumer.commit(asynchronous=False)
        finally:
            await consumer.close()


def producer_of(servers: str, **settings: Any) -> Any:
    return mqtrace.wrap(AIOProducer)({"bootstrap.servers": servers, "log_level": 0, **settings}, buffer_timeout=0.1)


def accounted_for(spans: Spans, topic: str, readers: Readers, lost: int = 0) -> None:
    """Each message has a send span, each delivery the process span that it was handled in, and that is all there is."""
    sent, processed = spans.named(f"send {topic}"), spans.named(f"process {topic}")
    assert Counter(span.status for span in sent) == +Counter(unset=MESSAGES - lost, error=lost)
    assert sorted(span.span_id for span in processed) == sorted(readers.seen)
    delivered = {span.span_id for span in sent if span.status == "unset"}
    assert delivered <= {str(span.parent_id) for span in processed} <= {span.span_id for span in sent}
    assert {span.attributes["messaging.consumer.group.name"] for span in processed} == {readers.group}
    stats = spans.tracer.stats()
    assert (stats["spans_ended"], sum(stats["spans_dropped"].values())) == (len(spans), 0)
    assert not mqtrace.current_span().is_recording()


@pytest.mark.slow
def test_through_a_graceful_stop_in_the_middle_and_a_group_that_rebalances(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    topic = make_topic(kafka_bootstrap, 4)
    readers = Readers(kafka_bootstrap, topic)

    async def main() -> None:
        reading = [asyncio.ensure_future(readers.read(lambda: len(readers.seen) > MESSAGES // 2))]
        async with producer_of(kafka_bootstrap) as producer:
            futures = []
            for number in range(MESSAGES):
                futures.append(await producer.produce(topic, b"%d" % number))
                if number == MESSAGES // 4:
                    reading.append(asyncio.ensure_future(readers.read(lambda: len(readers.values) == MESSAGES)))
            await asyncio.wait_for(asyncio.gather(*futures), 60)
        await asyncio.wait_for(asyncio.gather(*reading), 120)

    with record() as spans:
        asyncio.run(main())
        accounted_for(spans, topic, readers)


@pytest.mark.slow
def test_while_the_broker_is_killed_and_comes_back(own_kafka: Any) -> None:
    topic = "orders"
    readers = Readers(own_kafka.address, topic)
    failed: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        settings = {"enable.idempotence": True, "message.timeout.ms": 60_000}
        async with producer_of(own_kafka.address, **settings) as producer:
            futures = []
            for number in range(MESSAGES):
                if number == MESSAGES // 2:
                    own_kafka.kill()
                    back = loop.run_in_executor(None, own_kafka.start)
                futures.append(await producer.produce(topic, b"%d" % number))
            await back
            results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 120)
            failed.extend(one for one in results if isinstance(one, BaseException))
        await asyncio.wait_for(readers.read(lambda: len(readers.values) >= MESSAGES - len(failed)), 120)

    with record() as spans:
        asyncio.run(main())
        accounted_for(spans, topic, readers, len(failed))
