"""The message of a retry: sent on behalf of the attempt that runs, with headers that name this attempt.

Celery copies its headers from the message that is retried, trace headers too. mqtrace leaves them: so the attempts are
siblings below the send span of the first message. As for any message that carries another context, the send span of a
retry is of kind CLIENT and linked to that context.
"""

from __future__ import annotations

from typing import Any

from mqtrace.carriers import Mapping as MappingCarrier
from mqtrace.core import EMPTY, Context, Template, current_frame, is_canonical, start_send
from mqtrace.messaging import send_time

from .spans import PREVIOUS, AttemptSpan, TaskSendSpan, UnsampledAttempt, note, sent_ms
from .state import INSTRUMENTATION
from .templates import Tasks

__all__ = ["previous_attempt", "running_attempt", "start_retry"]


def running_attempt(app: Any, task_id: object) -> AttemptSpan | UnsampledAttempt | None:
    """The attempt at this task that runs here and sends it again; None if there is none."""
    frame = current_frame()
    if type(frame) is AttemptSpan and frame.task_id == task_id:  # also one that the main process reports
        return frame
    # a span of the user's is current, or the trace is not recorded
    task = None if app is None else app.current_worker_task
    attempt = None if task is None else INSTRUMENTATION.running.get(id(task.request_stack.top))
    return attempt if attempt is not None and attempt.task_id == task_id else None


def start_retry(
    tasks: Tasks, template: Template, facts: Any, headers: dict[str, Any], attempt: AttemptSpan | UnsampledAttempt
) -> TaskSendSpan | None:
    """Start the send span of a retry, and write its headers. Returns None if the trace is not recorded."""
    operation = tasks.send
    if isinstance(attempt, UnsampledAttempt):
        if attempt.identity is not None and "traceparent" not in headers and operation.w3c_only:
            headers["traceparent"] = attempt.identity.decode("ascii")
        return None
    propagator = operation.tracer.propagator
    if propagator.fields:
        headers[PREVIOUS] = attempt.identity.decode("ascii")
    carrier = MappingCarrier(headers)
    first = propagator.extract(carrier, EMPTY, None)
    if first.identity is None:
        # The first message carried no context: its attempt is the root, and the other attempts are its children.
        propagator.inject(carrier, attempt)
        first = Context.of(attempt)
        ours = True
    else:
        ours = send_time.take(first.state)[1] != send_time.UNKNOWN
    span = start_send(template.as_client(), TaskSendSpan)
    if type(span) is not TaskSendSpan:
        return None
    span.add_link(first)
    note(span, facts)
    if ours and "tracestate" in propagator.fields:
        headers["tracestate"] = send_time.stamp(send_time.take(first.state)[0], sent_ms(span))
    return span


def previous_attempt(headers: Any) -> Context | None:
    """The context of the attempt before, from the headers of a retry; None if it is malformed."""
    traceparent = headers.get(PREVIOUS)
    if type(traceparent) is str and traceparent.isascii():
        identity = traceparent.encode("ascii")
        if is_canonical(identity):
            return Context(identity)
    return None
