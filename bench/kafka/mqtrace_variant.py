"""mqtrace, as its README says to use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import confluent_kafka

import mqtrace
from mqtrace.tracer import default

__all__ = ["Mqtrace"]


class Mqtrace:
    """``rate``: of sampling; None: not configured at all."""

    def __init__(self, exporter: str | None, rate: float | None) -> None:
        if rate is not None:
            mqtrace.configure("bench", sampler=rate, exporter=f"kafka://{exporter}/otlp_spans" if exporter else "none:")
        self.tracer = default()

    def producer(self, configuration: dict[str, Any]) -> Any:
        return mqtrace.wrap(confluent_kafka.Producer)(configuration)

    def consumer(self, configuration: dict[str, Any]) -> Any:
        return mqtrace.wrap(confluent_kafka.Consumer)(configuration)

    def handler(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        decorated: Callable[[Any], None] = mqtrace.consumer(handle)
        return decorated

    def batch(self, messages: list[Any]) -> None:
        with mqtrace.batch(messages):
            pass

    def span(self) -> None:
        self.tracer.start_span("work").end()

    def inject(self, carrier: dict[str, str]) -> None:
        self.tracer.inject(carrier)

    def extract(self, carrier: dict[str, str]) -> None:
        self.tracer.extract(carrier)

    def flush(self) -> dict[str, Any]:
        mqtrace.flush(30)
        return mqtrace.stats()
