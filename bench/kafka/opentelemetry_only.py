"""OpenTelemetry's encoder on the same spans."""

from __future__ import annotations

import time

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanKind

from bench.steady import steady

SPANS = 100


def figures(count: int) -> dict[str, float]:
    """CPU to encode a span, and its bytes."""
    tracer = TracerProvider().get_tracer("bench")
    made: list[ReadableSpan] = []
    for number in range(SPANS):
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": "orders",
            "messaging.destination.partition.id": str(number % 12),
            "messaging.kafka.offset": 1_000_000 + number,
            "messaging.client.id": "order-service",
            "server.address": "kafka.example.com",
            "server.port": 9092,
        }
        root = tracer.start_span("send orders")
        links = [Link(root.get_span_context())] if number % 2 else []
        span = tracer.start_span("process orders", kind=SpanKind.CONSUMER, attributes=attributes, links=links)
        span.end()
        assert isinstance(span, ReadableSpan)
        made.append(span)
    rounds = max(1, count // SPANS // 10)

    def encode() -> float:
        began = time.thread_time()
        for _ in range(rounds):
            encode_spans(made).SerializeToString()
        return (time.thread_time() - began) / (rounds * SPANS) * 1e6

    return {"encode": steady(encode), "bytes raw": len(encode_spans(made).SerializeToString()) / SPANS}
