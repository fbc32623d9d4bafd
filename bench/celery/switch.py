"""How the tasks of this process are traced: a call that begins it, and one that takes it away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import signals  # type: ignore[import-untyped]  # Celery ships no types

import mqtrace

__all__ = ["do_nothing", "switch"]

_EACH_TASK = (signals.before_task_publish, signals.task_prerun, signals.task_postrun)


def switch(variant: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """On and off."""
    if variant == "bare":
        return (lambda: None), (lambda: None)
    if variant == "opentelemetry":
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]  # its __init__ has no types
        return instrumentor.instrument, instrumentor.uninstrument
    return mqtrace.instrument_celery, mqtrace.uninstrument_celery


def do_nothing() -> tuple[Callable[[], object], Callable[[], object]]:
    """On and off, for receivers of the signals of every task that do nothing: what Celery takes to call any."""

    def receive(sender: Any = None, signal: Any = None, **_: Any) -> None:
        pass

    def begin() -> None:
        for signal in _EACH_TASK:
            signal.connect(receive, weak=False, dispatch_uid="bench")

    def end() -> None:
        for signal in _EACH_TASK:
            signal.disconnect(dispatch_uid="bench")

    return begin, end
