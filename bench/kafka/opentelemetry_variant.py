"""OpenTelemetry's SDK and its confluent-kafka instrumentation, set up as their documentation says.

Its exporter to Kafka is ours to write, as a user's would be: OTLP protobuf by OpenTelemetry's own encoder, sent by a
raw client that compresses as mqtrace's does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

__all__ = ["OpenTelemetry"]


class KafkaSpanExporter(SpanExporter):
    """A batch, a message."""

    def __init__(self, servers: str | None) -> None:
        self.sent = 0
        self._producer = servers and confluent_kafka.Producer(
            {"bootstrap.servers": servers, "compression.type": "zstd", "linger.ms": 20, "log_level": 0}
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._producer:
            self._producer.produce("otlp_spans", encode_spans(spans).SerializeToString())
            self._producer.poll(0)
        self.sent += len(spans)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return not self._producer or self._producer.flush(timeout_millis / 1000) == 0


class OpenTelemetry:
    """The instrumented client."""

    def __init__(self, exporter: str | None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
        self._exporter = KafkaSpanExporter(exporter)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, max_queue_size=1_000_000))
        trace.set_tracer_provider(self._provider)
        self._instrumentor = ConfluentKafkaInstrumentor()
        self._tracer = trace.get_tracer("bench")

    def producer(self, configuration: dict[str, Any]) -> Any:
        return self._instrumentor.instrument_producer(confluent_kafka.Producer(configuration), self._provider)

    def consumer(self, configuration: dict[str, Any]) -> Any:
        return self._instrumentor.instrument_consumer(confluent_kafka.Consumer(configuration), self._provider)

    def handler(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        return handle  # its poll made the span

    def batch(self, messages: list[Any]) -> None:
        pass  # its consume made the span

    def span(self) -> None:
        self._tracer.start_span("work").end()

    def inject(self, carrier: dict[str, str]) -> None:
        propagate.inject(carrier)

    def extract(self, carrier: dict[str, str]) -> None:
        propagate.extract(carrier)

    def flush(self) -> dict[str, Any]:
        self._provider.force_flush(60_000)
        self._exporter.force_flush()
        return {"spans_exported": self._exporter.sent}
