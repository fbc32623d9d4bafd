"""Receivers of another library's instrumentation at the signals that mqtrace listens to: OpenTelemetry's, ddtrace's.

They stay connected. Where a signal looks for its receivers (dispatch.py), one of theirs is replaced by a
:class:`Leaving`, so it does not matter which of the two was connected first, and what happens to theirs later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, Task  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.clients.instrumented import is_theirs, makes_spans, tracing_checks, warn_if_theirs

from .publish import publishes, publishing_app
from .state import INSTRUMENTATION

__all__ = ["Leaving", "leaving"]


class Leaving:
    """Calls a receiver of theirs for the tasks that mqtrace does not trace."""

    __slots__ = ("theirs",)

    def __init__(self, theirs: Callable[..., Any]) -> None:
        self.theirs = theirs

    def __call__(self, sender: Any = None, **named: Any) -> Any:
        # a task that runs, or the name of one that is published
        app = sender.app if hasattr(sender, "app") else publishing_app()
        traced = INSTRUMENTATION.for_app(app)
        if traced is None or not makes_spans(traced.runs):
            return self.theirs(sender=sender, **named)
        warn_if_theirs("celery", (self.theirs,))
        return None


def _is_traced(thing: Any) -> bool:
    """Whether spans are made of a task or of an app's messages, and of what kombu does for those."""
    if isinstance(thing, (Task, Celery)):
        app = thing.app if isinstance(thing, Task) else thing
    elif publishes() and hasattr(thing, "publish"):
        app = publishing_app()
    else:
        return False
    tasks = INSTRUMENTATION.for_app(app)
    return tasks is not None and makes_spans(tasks.runs)


tracing_checks.append(_is_traced)


def leaving(receiver: Any) -> Any:
    """A receiver as it is to be called: one of theirs leaves alone what is traced."""
    return Leaving(receiver) if is_theirs(receiver) else receiver
