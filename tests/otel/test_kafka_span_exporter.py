"""OpenTelemetry's SDK over our Kafka exporter."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace.otel
from mqtrace.errors import ConfigurationError
from mqtrace.otel.kafka_span_exporter import KafkaSpanExporter


class Broker:
    """A Producer whose reports the test writes."""

    def __init__(self) -> None:
        self.arrived: list[tuple[bytes | None, bytes]] = []
        self.waiting: list[Any] = []
        self.answer: Callable[[], Any] = lambda: None

    def __call__(self, configuration: Mapping[str, Any]) -> Broker:
        return self

    def produce(self, topic: str, value: bytes, key: bytes | None, partition: int, callback: Any) -> None:
        self.waiting.append((key, value, callback))

    def poll(self, timeout: float) -> None:
        waiting, self.waiting = self.waiting, []
        for key, value, callback in waiting:
            error = self.answer()
            if error is None:
                self.arrived.append((key, value))
            callback(error, None)

    flush = poll

    def __len__(self) -> int:
        return len(self.waiting)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr("mqtrace.export.kafka.Producer", made)
    return made


def _names(payload: bytes) -> list[str]:
    data = trace_pb2.TracesData.FromString(payload)
    return [span.name for resource in data.resource_spans for scope in resource.scope_spans for span in scope.spans]


def _spans(count: int = 3) -> Any:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(kept))
    for number in range(count):
        provider.get_tracer("t").start_span(f"span {number}").end()
    provider.force_flush()
    provider.shutdown()
    return kept.get_finished_spans()


def test_spans_of_the_sdk_are_a_message_and_waited_for(broker: Broker) -> None:
    exporter = mqtrace.otel.KafkaSpanExporter("kafka://h:9092/spans")
    assert exporter.export(_spans()) is SpanExportResult.SUCCESS
    ((key, payload),) = broker.arrived
    assert key is None
    assert _names(payload) == ["span 0", "span 1", "span 2"]
    exporter.shutdown()
    exporter.shutdown()
    assert exporter.export(_spans()) is SpanExportResult.FAILURE


def test_by_trace_each_trace_is_a_message(broker: Broker) -> None:
    spans = _spans()
    exporter = KafkaSpanExporter("kafka://h:9092/spans?partition_by_trace=true")
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert {key for key, _ in broker.arrived} == {b"%032x" % span.context.trace_id for span in spans}


def test_what_the_broker_refuses_is_a_failure(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    broker.answer = lambda: KafkaError(KafkaError._MSG_TIMED_OUT)
    exporter = KafkaSpanExporter("kafka://h:9092/spans")
    for _ in range(2):
        assert exporter.export(_spans()) is SpanExportResult.FAILURE
    assert len(caplog.records) == 1


def test_nobody_who_answers_is_waited_for_up_to_the_timeout() -> None:
    exporter = KafkaSpanExporter("kafka://127.0.0.1:1/spans", timeout_s=1.0)
    began = time.monotonic()
    assert exporter.export(_spans()) is SpanExportResult.FAILURE
    assert time.monotonic() - began < 3
    exporter._exporter.shutdown(0.1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_uses_a_producer_of_its_own() -> None:
    exporter = KafkaSpanExporter("kafka://127.0.0.1:1/spans", timeout_s=0.2)
    spans = _spans()
    exporter.export(spans)
    parents = list(exporter._exporter._producers)
    child = os.fork()
    if child == 0:
        exporter.export(spans)
        os._exit(0 if exporter._exporter._producers[0] is not parents[0] else 1)
    assert os.waitpid(child, 0)[1] == 0
    exporter._exporter.shutdown(0.1)


@pytest.mark.parametrize(
    ("url", "variable", "words"),
    [
        (None, None, "MQTRACE_EXPORTER"),
        (None, "http://h:4318", "not the address of a topic"),
        ("file:///tmp/x", None, "not the address of a topic"),
        ("kafka://h/t?encoding=zipkin_json", None, "otlp_proto"),
        ("kafka://u:s3cr3t@h/t", None, "sasl.username"),
        (b"kafka://h/t", None, "is not text"),
    ],
)
def test_what_names_no_topic_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, url: Any, variable: str | None, words: str
) -> None:
    monkeypatch.delenv("MQTRACE_EXPORTER", raising=False)
    if variable is not None:
        monkeypatch.setenv("MQTRACE_EXPORTER", variable)
    with pytest.raises(ConfigurationError) as caught:
        KafkaSpanExporter(url)
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_the_entry_point_is_called_without_arguments(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    value = project["project"]["entry-points"]["opentelemetry_traces_exporter"]["kafka"]
    monkeypatch.setenv("MQTRACE_EXPORTER", "kafka://h:9092/spans")
    exporter = EntryPoint("kafka", value, "opentelemetry_traces_exporter").load()()
    assert exporter.export(_spans()) is SpanExportResult.SUCCESS
    assert len(broker.arrived) == 1
