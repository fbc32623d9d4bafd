"""confluent-kafka clients that OpenTelemetry has instrumented too: one span, mqtrace's, in either order."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace
from mqtrace.clients import instrumented
from mqtrace.testing import record

instrumentation = pytest.importorskip("opentelemetry.instrumentation.confluent_kafka")

MOCK: dict[str, Any] = {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0}


@pytest.fixture
def theirs() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(theirs: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(theirs))
    return made


@pytest.fixture
def raw() -> type:
    return confluent_kafka.Producer


@pytest.fixture
def instrumented_by_them(raw: type, provider: TracerProvider) -> Iterator[None]:
    instrumentor = instrumentation.ConfluentKafkaInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


def names_of(producer: Any, theirs: InMemorySpanExporter) -> tuple[list[str], list[str]]:
    """The spans of one message: ours, theirs."""
    theirs.clear()
    with record() as spans:
        producer.produce("orders", b"1")
        producer.flush(5)
    return [span.name for span in spans], [span.name for span in theirs.get_finished_spans()]


@pytest.mark.usefixtures("instrumented_by_them")
def test_without_us_theirs_makes_its_span(theirs: InMemorySpanExporter) -> None:
    ours, made = names_of(confluent_kafka.Producer(MOCK), theirs)
    assert (len(ours), len(made)) == (0, 1)


@pytest.mark.usefixtures("instrumented_by_them")
def test_an_object_of_their_class_is_traced_once(theirs: InMemorySpanExporter) -> None:
    producer = confluent_kafka.Producer(MOCK)
    wrapped = mqtrace.wrap(producer)
    assert names_of(wrapped, theirs) == (["send orders"], [])
    assert isinstance(wrapped, confluent_kafka.Producer)


@pytest.mark.usefixtures("instrumented_by_them")
def test_their_class_is_traced_once(theirs: InMemorySpanExporter) -> None:
    assert names_of(mqtrace.wrap(confluent_kafka.Producer)(MOCK), theirs) == (["send orders"], [])


@pytest.mark.usefixtures("instrumented_by_them")
@pytest.mark.parametrize("as_class", [True, False])
def test_a_users_class_above_theirs_is_traced_once(theirs: InMemorySpanExporter, as_class: bool) -> None:
    class Own(confluent_kafka.Producer):
        def produce(self, topic: str, value: Any = None, **named: Any) -> None:  # type: ignore[override]  # a user's
            super().produce(topic, value, **named)

    assert names_of(mqtrace.wrap(Own)(MOCK) if as_class else mqtrace.wrap(Own(MOCK)), theirs) == (["send orders"], [])


def test_their_proxy_is_traced_once(theirs: InMemorySpanExporter, provider: TracerProvider) -> None:
    proxy = instrumentation.ConfluentKafkaInstrumentor.instrument_producer(confluent_kafka.Producer(MOCK), provider)
    assert names_of(mqtrace.wrap(proxy), theirs) == (["send orders"], [])


def test_their_proxy_over_a_traced_client_makes_no_span(theirs: InMemorySpanExporter, provider: TracerProvider) -> None:
    wrapped = mqtrace.wrap(confluent_kafka.Producer(MOCK))
    proxy = instrumentation.ConfluentKafkaInstrumentor.instrument_producer(wrapped, provider)
    assert names_of(proxy, theirs) == (["send orders"], [])


def test_a_client_wrapped_before_they_instrument_is_traced_once(
    theirs: InMemorySpanExporter, provider: TracerProvider
) -> None:
    wrapped, kind = mqtrace.wrap(confluent_kafka.Producer(MOCK)), mqtrace.wrap(confluent_kafka.Producer)
    instrumentor = instrumentation.ConfluentKafkaInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        assert names_of(wrapped, theirs) == (["send orders"], [])
        assert names_of(kind(MOCK), theirs) == (["send orders"], [])
    finally:
        instrumentor.uninstrument()


def test_it_is_said_once_which_instrumentation_to_disable(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrumented, "_warned", set())
    instrument = instrumentation.ConfluentKafkaInstrumentor.instrument_producer
    with caplog.at_level(logging.WARNING, "mqtrace"):
        for _ in range(2):
            mqtrace.wrap(instrument(confluent_kafka.Producer(MOCK), provider))
    said = [one.getMessage() for one in caplog.records]
    assert len(said) == 1
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=confluent_kafka" in said[0]


def _mock_cluster(topic: str) -> tuple[Any, dict[str, Any]]:
    """A producer that keeps a mock cluster alive, with one message, and how to read it."""
    raw = confluent_kafka.cimpl.Producer(MOCK)
    where = raw.list_topics(timeout=5).brokers
    broker = next(iter(where.values()))
    raw.produce(topic, b"1")
    raw.flush(5)
    return raw, {
        "bootstrap.servers": f"{broker.host}:{broker.port}",
        "group.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }


@pytest.mark.usefixtures("instrumented_by_them")
@pytest.mark.parametrize("how", ["object", "class", "proxy"])
@pytest.mark.parametrize("call", ["poll", "consume"])
def test_a_consumer_of_theirs_makes_none_of_their_spans_and_leaves_nothing_current(
    theirs: InMemorySpanExporter, provider: TracerProvider, how: str, call: str
) -> None:
    alive, settings = _mock_cluster("orders")
    theirs.clear()
    if how == "class":
        consumer = mqtrace.wrap(confluent_kafka.Consumer)(settings)
    elif how == "object":
        consumer = mqtrace.wrap(confluent_kafka.Consumer(settings))
    else:
        instrument = instrumentation.ConfluentKafkaInstrumentor.instrument_consumer
        consumer = mqtrace.wrap(instrument(confluent_kafka.cimpl.Consumer(settings), provider))
    consumer.subscribe(["orders"])
    try:
        with record() as spans:
            got: Any = consumer.poll(15) if call == "poll" else consumer.consume(1, 15)
            assert got
            assert trace.get_current_span() is trace.INVALID_SPAN
            with mqtrace.process(got if call == "poll" else got[0]):
                pass
        assert [span.name for span in spans] == ["process orders"]
        assert theirs.get_finished_spans() == ()
    finally:
        consumer.close()
    assert alive is not None


@pytest.mark.usefixtures("instrumented_by_them")
@pytest.mark.parametrize("how", ["object", "class", "proxy"])
def test_while_mqtrace_is_not_configured_it_is_theirs(
    theirs: InMemorySpanExporter, provider: TracerProvider, how: str
) -> None:
    alive, settings = _mock_cluster("orders")
    theirs.clear()

    def made(kind: Any, instrument: Any, configuration: Any) -> Any:
        if how == "class":
            return mqtrace.wrap(kind)(configuration)
        return mqtrace.wrap(kind(configuration) if how == "object" else instrument(kind(configuration), provider))

    instrumentor = instrumentation.ConfluentKafkaInstrumentor
    cimpl: Any = confluent_kafka.cimpl if how == "proxy" else confluent_kafka
    producer = made(cimpl.Producer, instrumentor.instrument_producer, MOCK)
    producer.produce("orders", b"1")
    producer.flush(5)
    assert [span.name for span in theirs.get_finished_spans()] == ["orders send"]
    consumer = made(cimpl.Consumer, instrumentor.instrument_consumer, settings)
    consumer.subscribe(["orders"])
    assert consumer.poll(15) is not None
    consumer.poll(0)  # theirs ends at the next poll
    consumer.close()
    names = [span.name for span in theirs.get_finished_spans()]
    assert {"recv", "orders process"} <= set(names)
    assert names_of(producer, theirs) == (["send orders"], [])  # configured by now
    assert alive is not None
