"""Under ``mqtrace run`` the asynchronous clients of Kafka are traced, once."""

from __future__ import annotations

from typing import Any

import pytest

CLUSTER = """
import asyncio, confluent_kafka

holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
servers = ",".join(f"{b.host}:{b.port}" for b in holder.list_topics(timeout=10).brokers.values())
"""
AIOKAFKA = """
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

async def main():
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait("orders", b"x")
    async with AIOKafkaConsumer("orders", bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        async for message in consumer:
            with PROCESS(message):
                break

asyncio.run(main())
"""
INSTRUMENTED = """
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

made = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(made))
AIOKafkaInstrumentor().instrument(tracer_provider=provider)
"""
AIO = """
from confluent_kafka.aio import AIOConsumer, AIOProducer

async def main():
    async with AIOProducer({"bootstrap.servers": servers, "log_level": 0}) as producer:
        await (await producer.produce("orders", b"x", partition=0))
    settings = {"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    async with AIOConsumer(settings) as consumer:
        await consumer.assign([confluent_kafka.TopicPartition("orders", 0, 0)])
        while (message := await consumer.poll(0.2)) is None:
            pass
        with PROCESS(message):
            pass
        while await consumer.poll(0.2) is not None:
            pass

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [AIOKAFKA, AIO], ids=["aiokafka", "confluent_kafka.aio"])
@pytest.mark.parametrize("propagators", ["tracecontext", "none"])
def test_a_message_has_one_send_and_one_process_span(traced: Any, program: str, propagators: str) -> None:
    handled = program.replace("PROCESS(", "__import__('mqtrace').process(")
    traced.program(CLUSTER + handled, OTEL_PROPAGATORS=propagators)
    names = sorted(span["name"] for span in traced.spans())
    assert names == ["process orders", "send orders"]
    parents = {span["name"]: span.get("parentSpanId", "") for span in traced.spans()}
    assert bool(parents["process orders"]) is (propagators == "tracecontext")


def test_they_can_be_left_out(traced: Any) -> None:
    program = AIOKAFKA.replace("PROCESS(", "__import__('mqtrace').process(")
    traced.program(CLUSTER + program, MQTRACE_CLIENTS="confluent_kafka")
    assert [span["name"] for span in traced.spans()] == ["process orders"]


def test_beside_opentelemetrys_instrumentation_it_is_ours_alone(traced: Any) -> None:
    pytest.importorskip("opentelemetry.instrumentation.aiokafka")
    pytest.importorskip("opentelemetry.sdk")
    program = AIOKAFKA.replace("PROCESS(", "__import__('mqtrace').process(")
    said = traced.program(f"{CLUSTER}{INSTRUMENTED}{program}print(len(made.get_finished_spans()))\n")
    assert said == "0\n"
    assert sorted(span["name"] for span in traced.spans()) == ["process orders", "send orders"]


def test_turned_off_it_is_opentelemetrys(traced: Any) -> None:
    pytest.importorskip("opentelemetry.instrumentation.aiokafka")
    pytest.importorskip("opentelemetry.sdk")
    program = AIOKAFKA.replace("with PROCESS(message):", "if message:")
    said = traced.program(
        f"{CLUSTER}{INSTRUMENTED}{program}print(len(made.get_finished_spans()))\n", MQTRACE_DISABLED="true"
    )
    assert said == "2\n"
    assert traced.spans() == []
