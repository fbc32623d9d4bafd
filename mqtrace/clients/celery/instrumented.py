"""Receivers of another library's instrumentation at the signals that mqtrace listens to: OpenTelemetry's, ddtrace's.

They stay connected. Where a signal looks for its receivers (dispatch.py), one of theirs is replaced by a
:class:`Leaving`, so it does not matter which of the two was connected first, and what happens to theirs later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.instrumented import is_theirs, makes_spans, say

from .publish import publishing_app
from .templates import for_app, for_task

__all__ = ["Leaving", "leaving"]


class Leaving:
    """Calls a receiver of theirs for the tasks that mqtrace does not trace."""

    __slots__ = ("theirs",)

    def __init__(self, theirs: Callable[..., Any]) -> None:
        self.theirs = theirs

    def __call__(self, sender: Any = None, **named: Any) -> Any:
        # a task that runs, or the name of one that is published
        traced = for_task(sender) if hasattr(sender, "app") else for_app(publishing_app())
        if traced is None or not makes_spans(traced.runs):
            return self.theirs(sender=sender, **named)
        say("celery", (self.theirs,))
        return None


def leaving(receiver: Any) -> Any:
    """A receiver as it is to be called: one of theirs leaves alone what is traced."""
    return Leaving(receiver) if is_theirs(receiver) else receiver
