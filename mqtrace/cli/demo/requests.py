"""The front's requests where OpenTelemetry's SDK is installed: its spans, as its instrumentation of Flask makes them.

mqtrace has joined what is current with it, so the messages of a request are below the request's span.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .stage import Stage

__all__ = ["opentelemetry_requests"]


def opentelemetry_requests(stage: Stage) -> Callable[[str], AbstractContextManager[Any]] | None:
    """``request(name)``: a block that is a SERVER span of OpenTelemetry's; None if its SDK is not installed."""
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind

        from mqtrace.otel import KafkaSpanExporter
    except ImportError:
        return None

    class Counted(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            stage.foreign_spans += 1

    provider = TracerProvider(resource=Resource.create({"service.name": "front"}))
    provider.add_span_processor(Counted())
    provider.add_span_processor(
        BatchSpanProcessor(
            KafkaSpanExporter(stage.exporter), max_queue_size=stage.orders + 1000, schedule_delay_millis=100
        )
    )
    stage.at_end.append(provider.shutdown)
    tracer = provider.get_tracer("mqtrace.cli.demo")

    def request(name: str) -> AbstractContextManager[Any]:
        attributes = {"shop.traced_by": "opentelemetry"}
        return tracer.start_as_current_span(name, kind=SpanKind.SERVER, attributes=attributes)

    return request
