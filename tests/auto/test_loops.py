"""Loops of the other Kafka clients under ``mqtrace run``: a process span from one message to the next."""

from __future__ import annotations

import os
from typing import Any

import pytest

START = """
import asyncio, mqtrace, os

def current():
    return mqtrace.current_span().span_id

@mqtrace.consumer
def handle(message):
    return current()

@mqtrace.consumer
async def handle_soon(message):
    return current()
"""
CLUSTER = """
import confluent_kafka

holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
servers = ",".join(f"{b.host}:{b.port}" for b in holder.list_topics(timeout=10).brokers.values())
"""
AIOKAFKA = """
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

async def main():
    seen = []
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for _ in range(2):
            await producer.send_and_wait("orders", b"x")
    consumer = AIOKafkaConsumer("orders", bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    BODY
    await consumer.stop()
    print(*seen, current())

asyncio.run(main())
"""
AIO = """
from confluent_kafka.aio import AIOConsumer

async def main():
    seen = []
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "log_level": 0})
    for _ in range(2):
        producer.produce("orders", b"x", partition=0)
    producer.flush(10)
    settings = {"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = AIOConsumer(settings)
    await consumer.assign([confluent_kafka.TopicPartition("orders", 0, 0)])
    BODY
    await consumer.close()
    print(*seen, current())

asyncio.run(main())
"""
KAFKA_PYTHON = """
from kafka import KafkaConsumer, KafkaProducer

seen = []
topic = os.environ["TOPIC"]
producer = KafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"])
for _ in range(2):
    producer.send(topic, b"x").get(10)
producer.close()
consumer = KafkaConsumer(topic, bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"], auto_offset_reset="earliest")
BODY
consumer.close()
print(*seen, current())
"""
POLL = "while len(seen) < 2:\n    if await consumer.poll(0.2) is not None: seen.append(current())"
#: Client, program, and what is in its loop: a span a message, which ``seen`` has.
LOOPS = {
    "aiokafka, getone": (
        "aiokafka",
        AIOKAFKA,
        "for _ in range(2):\n    await consumer.getone(); seen.append(current())",
    ),
    "aiokafka, async for": (
        "aiokafka",
        AIOKAFKA,
        "async for message in consumer:\n    seen.append(current())\n    if len(seen) == 2: break",
    ),
    "AIOConsumer, poll": ("confluent_kafka.aio", AIO, POLL),
    "kafka-python, for": (
        "kafka",
        KAFKA_PYTHON,
        "for message in consumer:\n    seen.append(current())\n    if len(seen) == 2: break",
    ),
}
BATCHES = {
    "aiokafka, getmany": (
        "aiokafka",
        AIOKAFKA,
        "while not (records := await consumer.getmany(timeout_ms=200)): pass\nseen.append(current())",
    ),
    "AIOConsumer, consume": (
        "confluent_kafka.aio",
        AIO,
        "while not (records := await consumer.consume(2, 1)): pass\nseen.append(current())",
    ),
    "kafka-python, poll": (
        "kafka",
        KAFKA_PYTHON,
        "while not (records := consumer.poll(200)): pass\nseen.append(current())",
    ),
}
HANDLED = {
    "aiokafka": (
        "aiokafka",
        AIOKAFKA,
        "for _ in range(2):\n    seen.append(await handle_soon(await consumer.getone()))",
    ),
    "kafka-python": ("kafka", KAFKA_PYTHON, "for _ in range(2):\n    seen.append(handle(next(consumer)))"),
}


def run(traced: Any, client: str, program: str, body: str, **environment: str) -> list[str]:
    """What the program saw as current in its loop, and after it."""
    pytest.importorskip(client)
    inside = program is not KAFKA_PYTHON
    if not inside:
        environment = {"TOPIC": f"loops-{os.urandom(4).hex()}", **environment}
        if "KAFKA_BOOTSTRAP" not in os.environ:
            pytest.skip("kafka-python does not understand the embedded broker: KAFKA_BOOTSTRAP names a real one")
    text = body.replace("\n", "\n    ") if inside else body
    return str(
        traced.program((CLUSTER if inside else "") + START + program.replace("BODY", text), **environment)
    ).split()


def of_messages(traced: Any) -> list[dict[str, Any]]:
    return [span for span in traced.spans() if span["name"].startswith("process")]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_message_is_current_until_the_next(traced: Any, loop: str) -> None:
    said = run(traced, *LOOPS[loop])
    spans = of_messages(traced)
    assert said == [*(span["spanId"] for span in spans), "0" * 16]
    sent = [span["spanId"] for span in traced.spans() if span["name"].startswith("send ")]
    assert sorted(span["parentSpanId"] for span in spans) == sorted(sent)  # of several partitions, in any order
    assert int(spans[0]["endTimeUnixNano"]) <= int(spans[1]["startTimeUnixNano"])


@pytest.mark.parametrize("loop", BATCHES)
def test_what_one_call_returns_shares_a_span(traced: Any, loop: str) -> None:
    said = run(traced, *BATCHES[loop])
    (span, *_) = of_messages(traced)
    assert said == [span["spanId"], "0" * 16]
    sent = {span["spanId"] for span in traced.spans() if span["name"].startswith("send ")}
    assert {link["spanId"] for link in span["links"]} <= sent
    assert span["links"]


@pytest.mark.parametrize("client", HANDLED)
def test_a_decorated_handler_takes_the_span_over(traced: Any, client: str) -> None:
    said = run(traced, *HANDLED[client])
    assert said == [*(span["spanId"] for span in of_messages(traced)), "0" * 16]


@pytest.mark.parametrize("loop", ["aiokafka, getone", "AIOConsumer, poll", "kafka-python, for"])
def test_it_is_turned_off_by_a_variable(traced: Any, loop: str) -> None:
    assert run(traced, *LOOPS[loop], MQTRACE_POLL="none") == ["0" * 16] * 3
    assert of_messages(traced) == []
