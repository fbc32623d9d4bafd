"""The tracer of a process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final

import mqtrace

__all__ = ["configure", "identity", "traceparent"]

_RATES: Final = {"mqtrace": 1.0, "mqtrace unsampled": 0.0}


def configure(variant: str, servers: str | None = None) -> Callable[[], int]:
    """Make it the default tracer or global provider; gives what waits until every span has left, and counts them.

    ``servers``: of the span topic. Left out, spans are made, queued, batched and thrown away; then a batch has 512, as
    OpenTelemetry's has, so that the worker of neither wakes within the slices of alternate.py. With mqtrace's 100 its
    own would be at work beside every slice, and OpenTelemetry's beside none.
    """
    if variant == "opentelemetry":
        from .opentelemetry_sdk import SDK

        return SDK(servers).flush
    if variant in _RATES:
        if not servers:
            os.environ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "512"
        exporter = f"kafka://{servers}/otlp_spans" if servers else "none:"
        mqtrace.configure("bench", sampler=_RATES[variant], exporter=exporter)
        return _flush
    return lambda: 0


def _flush() -> int:
    mqtrace.flush(30)
    return int(mqtrace.stats()["spans_exported"])


def identity(number: int, sampled: bool) -> str:
    """The traceparent of one message: the same for all variants, and of digits like those of random ids.

    Code that asks of each digit what it is runs twice as fast on ids that are alike.
    """
    digits = hashlib.sha256(b"%d" % number).hexdigest()
    return f"00-{digits[:32]}-{digits[32:48]}-{'03' if sampled else '02'}"


def traceparent(number: int, variant: str) -> str:
    """The context of a message that comes in: the same for all, but not sampled where nothing is."""
    return identity(number, variant != "mqtrace unsampled")
