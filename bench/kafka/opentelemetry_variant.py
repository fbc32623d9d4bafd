"""OpenTelemetry's confluent-kafka instrumentation, set up as its documentation says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import confluent_kafka
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor

from bench.opentelemetry_sdk import SDK

__all__ = ["OpenTelemetry"]


class OpenTelemetry:
    """The instrumented client."""

    def __init__(self, exporter: str | None) -> None:
        self._sdk = SDK(exporter)
        self._instrumentor = ConfluentKafkaInstrumentor()
        self._tracer = trace.get_tracer("bench")

    def producer(self, configuration: dict[str, Any]) -> Any:
        return self._instrumentor.instrument_producer(confluent_kafka.Producer(configuration), self._sdk.provider)

    def consumer(self, configuration: dict[str, Any]) -> Any:
        return self._instrumentor.instrument_consumer(confluent_kafka.Consumer(configuration), self._sdk.provider)

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
        return {"spans_exported": self._sdk.flush()}
