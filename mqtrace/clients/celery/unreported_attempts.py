"""The span of an attempt that is told of from outside, by another process or because it never ran."""

from __future__ import annotations

from typing import Any

from mqtrace.core import NoopSpan
from mqtrace.messaging.attributes import ERROR_TYPE, REVOKED

from . import runs
from .spans import ATTEMPT, TaskRun
from .templates import Tasks

__all__ = ["finish", "start_unreported"]


def start_unreported(tasks: Tasks, owner: Any, name: object, own: Any, attempt: str | None) -> TaskRun | None:
    """The span of an attempt that is told of from outside; None where its trace is not recorded.

    ``owner``: what has the app: the task, its request, or the consumer.
    ``attempt``: the span id that this worker gave it. What the message itself says there is a stranger's.
    """
    try:
        delivery = own.get("delivery_info") or {}
        template = tasks.run_template(owner.app, name, delivery.get("exchange"), delivery.get("routing_key"))
        span = runs.begin_attempt(tasks.runs, template, own, runs.headers_of(own), owner)
        if isinstance(span, NoopSpan):
            return None
        if attempt is not None:
            runs.name_attempt(span, {ATTEMPT: attempt})
        span.ambient = None
    except Exception:  # noqa: BLE001  # tracing must not cost the worker anything, whatever went wrong
        tasks.runs.tracer.complain("a task that did not run could not be traced")
        return None
    return span


def finish(span: TaskRun, state: str, reason: str, error: str | None, when: int | None = None) -> None:
    """End a span with Celery's state; ``reason`` is the error's type, where it is one.

    ``when``: ns since the epoch, now if left out.
    """
    span.state_name = state
    span.set_attribute(REVOKED, reason)
    if error is not None:
        span.set_attribute(ERROR_TYPE, reason)
        span.set_status("error", error)
    span.end(when)
