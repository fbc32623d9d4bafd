"""The span of an attempt that did not report itself: its process was killed, or it never ran."""

from __future__ import annotations

from typing import Any

from mqtrace.core import NoopSpan
from mqtrace.messaging.attributes import ERROR_TYPE, REVOKED

from .attempt_start import begin_attempt, headers_of, set_attempt_id
from .spans import AttemptSpan
from .templates import Tasks

__all__ = ["finish", "start_unreported"]


def start_unreported(tasks: Tasks, owner: Any, name: object, fields: Any, attempt_id: str | None) -> AttemptSpan | None:
    """Start the span of an attempt that did not report itself; None if its trace is not recorded.

    ``owner``: the task, its request or the consumer: its ``app`` is read. ``fields``: the request's, a dict.
    ``attempt_id``: the span id that this worker chose. An id in the message itself is not trusted.
    """
    try:
        delivery = fields.get("delivery_info") or {}
        template = tasks.attempt_template(owner.app, name, delivery.get("exchange"), delivery.get("routing_key"))
        span = begin_attempt(tasks.process, template, fields, headers_of(fields), owner)
        if isinstance(span, NoopSpan):
            return None
        set_attempt_id(span, attempt_id)
        span.ambient = None
    except Exception:  # noqa: BLE001  # tracing must not cost the worker anything, whatever went wrong
        tasks.process.tracer.complain("a task that did not run could not be traced")
        return None
    return span


def finish(span: AttemptSpan, state: str, reason: str, error: str | None, ended_ns: int | None = None) -> None:
    """End a span with Celery's state. ``reason``: is the type of the error too, if there is one.

    ``ended_ns``: ns since the epoch, now if left out.
    """
    span.state_name = state
    span.set_attribute(REVOKED, reason)
    if error is not None:
        span.set_attribute(ERROR_TYPE, reason)
        span.set_status("error", error)
    span.end(ended_ns)
