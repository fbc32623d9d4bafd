"""aiokafka, kafka-python and aio-pika that OpenTelemetry instruments too: one span, mqtrace's, in either order."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace
from mqtrace.clients import instrumented
from mqtrace.testing import record


class Beside(NamedTuple):
    """OpenTelemetry's instrumentation of one client, and a message through that client, wrapped in a way of WAYS."""

    client: str
    destination: str
    instrumentor: Any
    provider: TracerProvider
    send_and_handle: Callable[..., None]

    def instrument(self) -> None:
        self.instrumentor.instrument(tracer_provider=self.provider)


WAYS = ("class", "object", "a class of one's own")
_classes: dict[tuple[Any, str], Any] = {}


def wrapped(kind: Any, way: str, **options: Any) -> Any:
    """What makes objects of a class, wrapped in this way; bare in any other."""
    if way == "object":
        return lambda *args, **named: mqtrace.wrap(kind(*args, **named), **options)
    if way == "class":
        return mqtrace.wrap(kind, **options)
    if way == "a class of one's own":
        if (kind, way) not in _classes:  # one class, as in a program: it may be wrapped before theirs is begun
            _classes[kind, way] = mqtrace.wrap(type("Own", (kind,), {}), **options)
        return _classes[kind, way]
    return kind


def aiokafka_through(address: str, topic: str, way: str, **options: Any) -> None:
    import aiokafka  # type: ignore[import-untyped]  # it ships no types

    async def run() -> None:
        async with wrapped(aiokafka.AIOKafkaProducer, way, **options)(bootstrap_servers=address) as producer:
            await producer.send_and_wait(topic, b"1")
        reads: Any = {"bootstrap_servers": address, "auto_offset_reset": "earliest"}
        async with wrapped(aiokafka.AIOKafkaConsumer, way, **options)(topic, **reads) as consumer:
            with mqtrace.process(await consumer.getone(), **options):
                pass

    asyncio.run(run())


def kafka_through(address: str, topic: str, way: str, **options: Any) -> None:
    import kafka  # type: ignore[import-untyped]  # it ships no types

    producer = wrapped(kafka.KafkaProducer, way, **options)(bootstrap_servers=address)
    producer.send(topic, b"1").get(10)
    producer.close()
    reads: Any = {"bootstrap_servers": address, "auto_offset_reset": "earliest"}
    consumer = wrapped(kafka.KafkaConsumer, way, **options)(topic, **reads)
    with mqtrace.process(next(consumer), **options):
        pass
    consumer.close()


def aio_pika_through(address: str, topic: str, way: str, **options: Any) -> None:
    import aio_pika

    async def run() -> None:
        connection = await aio_pika.connect_robust(address)
        bare: Any = await connection.channel()
        channel = mqtrace.wrap(bare, **options) if way in WAYS else bare
        queue = await channel.declare_queue(topic, auto_delete=True)
        await channel.default_exchange.publish(aio_pika.Message(b"1", headers={}), topic)
        done = asyncio.Event()

        async def handle(message: Any) -> None:
            await message.ack()
            done.set()

        await queue.consume(handle)
        await asyncio.wait_for(done.wait(), 10)
        await connection.close()

    asyncio.run(run())


CLIENTS: dict[str, tuple[str, str, str, Any]] = {
    "aiokafka": ("kafka_bootstrap", "aiokafka", "AIOKafkaInstrumentor", aiokafka_through),
    "kafka": ("kafka_bootstrap", "kafka", "KafkaInstrumentor", kafka_through),
    "aio_pika": ("rabbitmq_url", "aio-pika", "AioPikaInstrumentor", aio_pika_through),
}


@pytest.fixture
def theirs() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=CLIENTS)
def beside(
    request: pytest.FixtureRequest, theirs: InMemorySpanExporter, make_topic: Callable[..., str]
) -> Iterator[Beside]:
    broker, client, name, through = CLIENTS[request.param]
    pytest.importorskip(request.param)
    instrumentation = pytest.importorskip(f"opentelemetry.instrumentation.{request.param}")
    address = request.getfixturevalue(broker)
    destination = make_topic(address) if "kafka" in broker else f"instrumented-{uuid.uuid4().hex}"
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    instrumentor = getattr(instrumentation, name)()

    def send_and_handle(way: str, **options: Any) -> None:
        through(address, destination, way, **options)

    yield Beside(client, destination, instrumentor, provider, send_and_handle)
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    _classes.clear()


def made(theirs: InMemorySpanExporter) -> list[str]:
    """The kinds of the spans that theirs has made."""
    return sorted(span.kind.name for span in theirs.get_finished_spans())


def test_without_us_theirs_makes_its_spans(beside: Beside, theirs: InMemorySpanExporter) -> None:
    beside.instrument()
    beside.send_and_handle("bare")
    assert made(theirs) == ["CONSUMER", "PRODUCER"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_message_is_traced_once(beside: Beside, theirs: InMemorySpanExporter, first: str, way: str) -> None:
    if first == "ours":
        beside.send_and_handle(way)
    beside.instrument()
    theirs.clear()
    with record() as spans:
        beside.send_and_handle(way)
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert [span.name for span in spans] == [f"send {beside.destination}", f"process {beside.destination}"]
    if first == "theirs":  # else it is the first message that is read
        assert spans[1].parent_id == spans[0].span_id
    assert made(theirs) == []


@pytest.mark.parametrize("way", WAYS[:2])
def test_while_mqtrace_is_not_configured_it_is_theirs(beside: Beside, theirs: InMemorySpanExporter, way: str) -> None:
    beside.instrument()
    beside.send_and_handle(way)
    assert made(theirs) == ["CONSUMER", "PRODUCER"]


def test_while_mqtrace_is_turned_off_it_is_theirs(
    beside: Beside, theirs: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside.instrument()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracer = mqtrace.Tracer("shop", exporter="none:")
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    beside.send_and_handle("class", tracer=tracer)
    assert made(theirs) == ["CONSUMER", "PRODUCER"]


def test_a_client_that_is_not_wrapped_is_theirs(beside: Beside, theirs: InMemorySpanExporter) -> None:
    beside.instrument()
    with record() as spans:
        beside.send_and_handle("object")
        spans.clear()
        beside.send_and_handle("bare")
    assert made(theirs) == ["CONSUMER", "PRODUCER"]
    assert all(span.kind == "consumer" for span in spans)  # of mqtrace.process in the program


def test_it_is_said_once_which_instrumentation_to_disable(
    beside: Beside, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrumented, "_warned", set())
    beside.instrument()
    with caplog.at_level(logging.WARNING, "mqtrace"), record():
        beside.send_and_handle("object")
        beside.send_and_handle("class")
    said = [one.getMessage() for one in caplog.records if one.name == "mqtrace"]
    assert len(said) == 1
    assert f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={beside.client}" in said[0]


def test_theirs_can_be_taken_away_and_begun_again(beside: Beside, theirs: InMemorySpanExporter) -> None:
    beside.instrument()
    with record():
        beside.send_and_handle("class")
    beside.instrumentor.uninstrument()
    beside.send_and_handle("bare")
    assert made(theirs) == []
    beside.instrument()
    with record() as spans:
        beside.send_and_handle("class")
    assert [span.name for span in spans] == [f"send {beside.destination}", f"process {beside.destination}"]
    assert made(theirs) == []
