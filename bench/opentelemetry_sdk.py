"""OpenTelemetry's SDK, set up as its documentation says. Its propagators are the default ones, W3C's.

Its exporter to Kafka is ours to write, as a user's would be: OTLP protobuf by OpenTelemetry's own encoder, sent by a
raw client that compresses as mqtrace's does.
"""

from __future__ import annotations

from collections.abc import Sequence

import confluent_kafka
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

__all__ = ["SDK"]


class KafkaSpanExporter(SpanExporter):
    """A batch, a message. Without ``servers`` it throws every batch away."""

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


class SDK:
    """The global provider. ``servers``: of the span topic, or None to make spans and throw them away."""

    def __init__(self, servers: str | None) -> None:
        self._exporter = KafkaSpanExporter(servers)
        self.provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
        self.provider.add_span_processor(BatchSpanProcessor(self._exporter, max_queue_size=1_000_000))
        trace.set_tracer_provider(self.provider)

    def flush(self) -> int:
        """How many spans have left by now: all."""
        self.provider.force_flush(60_000)
        self._exporter.force_flush()
        return self._exporter.sent
