"""How the tasks of this process are traced: a call that begins it, and one that takes it away."""

from __future__ import annotations

from collections.abc import Callable

import mqtrace

__all__ = ["switch"]


def switch(variant: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """On and off."""
    if variant == "bare":
        return (lambda: None), (lambda: None)
    if variant == "opentelemetry":
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]  # its __init__ has no types
        return instrumentor.instrument, instrumentor.uninstrument
    return mqtrace.instrument_celery, mqtrace.uninstrument_celery
