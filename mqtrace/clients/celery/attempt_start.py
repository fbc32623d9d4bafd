"""The start of an attempt's span, and what it takes from the message of its task.

The worker calls it when the task runs (attempts.py), or for an attempt that did not report itself
(unreported_attempts.py).
"""

from __future__ import annotations

import sys
from typing import Any

from mqtrace.core import NoopSpan, Template, note_skew
from mqtrace.messaging import Operation
from mqtrace.messaging.amqp import history, start_below
from mqtrace.messaging.attributes import RETRIES

from .delays import delay_until, due_s
from .retries import previous_attempt
from .spans import PREVIOUS, AttemptSpan, note

__all__ = ["begin_attempt", "headers_of", "retry_number", "set_attempt_id"]


def set_attempt_id(span: AttemptSpan, attempt_id: object) -> None:
    """Set the span id that the main process chose, if it chose one and the message brought a trace."""
    if type(attempt_id) is str and span.origin is not None:
        span.identity = span.identity[:36] + attempt_id.encode("ascii") + span.identity[52:]


def headers_of(fields: Any) -> Any:
    """The message's headers in the fields of a request: protocol 2 spreads them over it."""
    if "traceparent" in fields:
        return fields
    headers = fields.get("headers")
    return headers if isinstance(headers, dict) else fields


def begin_attempt(
    operation: Operation, template: Template, fields: Any, headers: Any, owner: Any
) -> AttemptSpan | NoopSpan:
    """Start the span of an attempt below its message's context. ``fields``: of the task's request, a dict.

    ``owner``: its ``app`` is read, but only at need, because a task looks its app up each time.
    """
    span = start_below(operation, template, AttemptSpan, headers)
    if type(span) is not AttemptSpan:
        return span
    eta = note(span, fields)
    span.state_name = None
    span.ambient = sys.exception()
    delivery = fields.get("delivery_info")
    span.redelivered = bool(delivery and delivery.get("redelivered"))
    if eta is not None and span.sent_at() >= 0:
        _wait_from_due(span, eta, owner.app)
    if headers:
        if PREVIOUS in headers:
            previous = previous_attempt(headers)
            if previous is not None:
                span.add_link(previous, retry_number(span.retries))
        if "x-death" in headers or "x-delivery-count" in headers:
            span.set_attributes(history(headers))
    return span


def _wait_from_due(span: AttemptSpan, eta: object, app: Any) -> None:
    """Measure the time in the queue from when the task is due: the delay until then was requested."""
    due = due_s(eta, app)
    if due is None:
        return
    sent_ms = span.sent_at()
    span.delay = delay_until(eta, app, sent_ms / 1e3)
    if due * 1e3 > sent_ms:
        span.timestamp = due_ms = int(due * 1e3)
        if sent_ms / 1e3 <= span.start_time / 1e9:  # else the skew is counted already
            note_skew(span, due_ms)


def retry_number(retries: object) -> dict[str, object]:
    """The attributes of a link to the attempt before the one with this number."""
    return {RETRIES: retries - 1} if type(retries) is int and retries > 0 else {}
