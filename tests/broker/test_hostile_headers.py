"""What strangers may put into a record's headers, read by each client of Kafka: it costs no message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]  # it has no types
from aiokafka import TopicPartition as Partition
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.aio import AIOConsumer
from kafka import KafkaConsumer  # type: ignore[import-untyped]  # it ships no types

import mqtrace
from mqtrace.testing import record

Headers = list[tuple[str, str | bytes | None]]
_GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

#: By what is odd: the headers, and whether the context in them counts all the same.
HOSTILE: dict[str, tuple[Headers, bool]] = {
    "bytes that are no text": (
        [("traceparent", b"\xff\xfe\x00"), ("tracestate", b"\xff"), ("baggage", b"\xfe")],
        False,
    ),
    "nulls": ([("traceparent", None), ("tracestate", None), ("baggage", None), ("b3", None)], False),
    "no name": ([("", b"x"), ("", None), ("traceparent", _GOOD)], True),
    "a name twice": ([("traceparent", b"\xff"), ("traceparent", _GOOD), ("mine", b"1"), ("mine", b"2")], True),
    "twice, and the last one is bad": ([("traceparent", _GOOD), ("traceparent", b"\xff")], False),
    "other letters": ([("TraceParent", _GOOD), ("traceparent", b"0" * 55)], False),
    "a long one": ([("traceparent", _GOOD), ("tracestate", b"," * 200_000), ("baggage", b"=" * 200_000)], True),
    "a lot of them": ([(f"uberctx-{number}", b"x") for number in range(2_000)] + [("traceparent", _GOOD)], True),
}


async def by_aiokafka(servers: str, topic: str) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    consumer.assign([Partition(topic, 0)])
    async with mqtrace.wrap(consumer) as wrapped:
        return await wrapped.getone()


async def by_confluent_aio(servers: str, topic: str) -> Any:
    async with mqtrace.wrap(AIOConsumer)(settings(servers, topic), max_workers=2) as consumer:
        await consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while (message := await consumer.poll(0.2)) is None or message.error() is not None:
            pass
        return message


async def by_confluent(servers: str, topic: str) -> Any:
    consumer = mqtrace.wrap(Consumer)(settings(servers, topic))
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    while (message := consumer.poll(0.2)) is None or message.error() is not None:
        pass
    consumer.close()
    return message


async def by_kafka_python(servers: str, topic: str) -> Any:
    consumer = mqtrace.wrap(KafkaConsumer)(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    try:
        return next(consumer)
    finally:
        consumer.close()


def settings(servers: str, topic: str) -> dict[str, Any]:
    return {"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest", "log_level": 0}


@pytest.mark.parametrize("odd", HOSTILE)
@pytest.mark.parametrize("read", [by_aiokafka, by_confluent_aio, by_confluent, by_kafka_python])
def test_the_message_is_handled_in_its_span_and_sees_its_headers(
    kafka_bootstrap: str, make_topic: Callable[..., str], read: Callable[..., Any], odd: str
) -> None:
    topic = make_topic(kafka_bootstrap)
    headers, counts = HOSTILE[odd]
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "log_level": 0})
    producer.produce(topic, b"x", headers=headers)
    producer.flush()
    with record(propagators="tracecontext,baggage,b3,b3multi,jaeger,xray,datadog") as spans:
        message = asyncio.run(asyncio.wait_for(read(kafka_bootstrap, topic), 30))
        began = time.thread_time()
        for block in (mqtrace.process(message), mqtrace.batch([message])):
            with block:
                found: Any = message.headers() if callable(message.headers) else message.headers
                assert len(found) == len(headers)
        assert time.thread_time() - began < 0.25
    process, batch = spans
    assert (process.status, batch.status) == ("unset", "unset")
    assert process.trace_id == batch.links[0].context.trace_id if counts else not batch.links
    assert (process.trace_id == _GOOD[3:35]) is counts
    assert spans.tracer.stats()["contexts_malformed"] > 0 or counts
