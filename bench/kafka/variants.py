"""The same work five ways: bare, mqtrace (sampled, unsampled, off) and OpenTelemetry.

A variant gives a traced producer, a traced handler loop and its own span calls. What is measured around them
(calls.py, whole.py) knows none of them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import confluent_kafka

__all__ = ["Variant", "make"]


class Variant(Protocol):
    """One way. ``exporter``: bootstrap servers of the span topic, or None to make spans and throw them away."""

    def producer(self, configuration: dict[str, Any]) -> Any: ...
    def consumer(self, configuration: dict[str, Any]) -> Any: ...
    def handler(self, handle: Callable[[Any], None]) -> Callable[[Any], None]: ...
    def batch(self, messages: list[Any]) -> None: ...
    def span(self) -> None: ...
    def inject(self, carrier: dict[str, str]) -> None: ...
    def extract(self, carrier: dict[str, str]) -> None: ...
    def flush(self) -> dict[str, Any]: ...


def make(name: str, exporter: str | None) -> Variant:
    """The variant of this name."""
    if name == "bare":
        return Bare()
    if name == "opentelemetry":
        from .opentelemetry_variant import OpenTelemetry

        return OpenTelemetry(exporter)
    from .mqtrace_variant import Mqtrace

    return Mqtrace(exporter, {"mqtrace": 1.0, "mqtrace unsampled": 0.0, "mqtrace off": None}[name])


class Bare:
    """The client alone."""

    def producer(self, configuration: dict[str, Any]) -> Any:
        return confluent_kafka.Producer(configuration)

    def consumer(self, configuration: dict[str, Any]) -> Any:
        return confluent_kafka.Consumer(configuration)

    def handler(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        return handle

    def batch(self, messages: Iterable[Any]) -> None:
        pass

    def span(self) -> None:
        pass

    def inject(self, carrier: dict[str, str]) -> None:
        pass

    def extract(self, carrier: dict[str, str]) -> None:
        pass

    def flush(self) -> dict[str, Any]:
        return {}
