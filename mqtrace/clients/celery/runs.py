"""The span of an attempt as it begins: what the message of its task says of it.

The worker makes it when the task runs (attempts.py), or tells of one that never ran there (unreported_attempts.py).
"""

from __future__ import annotations

import sys
from typing import Any

from mqtrace.core import NoopSpan, Template, note_skew
from mqtrace.messaging import Operation
from mqtrace.messaging.amqp import history, start_below
from mqtrace.messaging.attributes import RETRIES

from .delays import delay, due
from .retries import previous
from .spans import ATTEMPT, PREVIOUS, TaskRun, note

__all__ = ["begin_attempt", "headers_of", "name_attempt", "retry_number"]


def name_attempt(span: TaskRun, request: Any) -> None:
    """Give a span the id that the main process chose, where it did and the message brought a trace."""
    attempt = request.get(ATTEMPT)
    if type(attempt) is str and span.origin is not None:
        span.identity = span.identity[:36] + attempt.encode("ascii") + span.identity[52:]


def headers_of(request: Any) -> Any:
    """The message's headers among what a request knows: protocol 2 spreads them over it."""
    if "traceparent" in request:
        return request
    headers = request.get("headers")
    return headers if isinstance(headers, dict) else request


def begin_attempt(
    operation: Operation, template: Template, request: Any, headers: Any, owner: Any
) -> TaskRun | NoopSpan:
    """The span of an attempt at the task of ``request`` (a dict as Celery keeps it), below its message's context.

    ``owner``: what has the app, asked for it where it is needed: a task looks for its own anew each time.
    """
    run = start_below(operation, template, TaskRun, headers)
    if type(run) is not TaskRun:
        return run
    eta = note(run, request)
    run.state_name = None
    run.ambient = sys.exception()
    delivery = request.get("delivery_info")
    run.redelivered = bool(delivery and delivery.get("redelivered"))
    if eta is not None and run.sent_at() >= 0:
        _wait_from_when_due(run, eta, owner.app)
    if headers:
        if PREVIOUS in headers:
            before = previous(headers)
            if before is not None:
                run.add_link(before, retry_number(run.retries))
        if "x-death" in headers or "x-delivery-count" in headers:
            run.set_attributes(history(headers))
    return run


def _wait_from_when_due(run: TaskRun, eta: object, app: Any) -> None:
    """What was asked for is no time in the queue: waiting begins when the task is due."""
    when = due(eta, app)
    if when is None:
        return
    sent = run.sent_at()
    run.delay = delay(eta, app, sent / 1e3)
    if when * 1e3 > sent:
        run.timestamp = later = int(when * 1e3)
        if sent / 1e3 <= run.start_time / 1e9:  # else it is counted already
            note_skew(run, later)


def retry_number(retries: object) -> dict[str, object]:
    """What a link says of the attempt before one with this number."""
    return {RETRIES: retries - 1} if type(retries) is int and retries > 0 else {}
