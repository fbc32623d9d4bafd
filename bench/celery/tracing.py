"""How the tasks of an app are traced: a call that begins it, and one that takes it away."""

from __future__ import annotations

from collections.abc import Callable

import mqtrace
from bench.opentelemetry_provider import provider

__all__ = ["switch"]

_RATES = {"mqtrace": 1.0, "mqtrace unsampled": 0.0}


def switch(variant: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """On and off."""
    if variant == "bare":
        return (lambda: None), (lambda: None)
    if variant == "opentelemetry":
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        spans = provider()
        instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]  # its __init__ has no types
        return (lambda: instrumentor.instrument(tracer_provider=spans)), instrumentor.uninstrument
    if variant in _RATES:
        mqtrace.configure("bench", sampler=_RATES[variant], exporter="none:")
    return mqtrace.instrument_celery, mqtrace.uninstrument_celery
