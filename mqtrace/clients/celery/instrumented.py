"""Receivers that other instrumentations (OpenTelemetry's, ddtrace's) connect to the signals that mqtrace listens to.

They stay connected. The cache of a signal (dispatch.py) holds an :class:`UnlessTraced` in place of each of them, so it
does not matter which library was connected first, nor when theirs is disconnected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, Task  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.clients.instrumented import is_theirs, makes_spans, tracing_checks, warn_if_theirs

from .publish import publishes, publishing_app
from .state import INSTRUMENTATION

__all__ = ["UnlessTraced", "unless_traced"]


class UnlessTraced:
    """Calls a receiver of another library for the tasks that mqtrace does not trace."""

    __slots__ = ("receiver",)

    def __init__(self, receiver: Callable[..., Any]) -> None:
        self.receiver = receiver

    def __call__(self, sender: Any = None, **named: Any) -> Any:
        # the sender is a task that runs, or the name of one that is published
        app = sender.app if hasattr(sender, "app") else publishing_app()
        tasks = INSTRUMENTATION.for_app(app)
        if tasks is None or not makes_spans(tasks.process):
            return self.receiver(sender=sender, **named)
        warn_if_theirs("celery", (self.receiver,))
        return None


def _is_traced(thing: Any) -> bool:
    """Whether mqtrace traces this task, this app's tasks, or the message that this kombu producer publishes now."""
    if isinstance(thing, (Task, Celery)):
        app = thing.app if isinstance(thing, Task) else thing
    elif publishes() and hasattr(thing, "publish"):
        app = publishing_app()
    else:
        return False
    tasks = INSTRUMENTATION.for_app(app)
    return tasks is not None and makes_spans(tasks.process)


tracing_checks.append(_is_traced)


def unless_traced(receiver: Any) -> Any:
    """An :class:`UnlessTraced` of another library's receiver; any other receiver as it is."""
    return UnlessTraced(receiver) if is_theirs(receiver) else receiver
