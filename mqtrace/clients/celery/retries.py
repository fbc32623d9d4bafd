"""A retry: a publish in the name of the attempt that runs, and what its message says of that.

Its headers are copied from the message that is being retried, trace headers too. They stay: so the attempts are
siblings below the first message's sender, and the send span of a retry, as always where a message carries another
context, is of kind CLIENT and linked to it.
"""

from __future__ import annotations

from typing import Any

from mqtrace.carriers import Mapping as MappingCarrier
from mqtrace.core import EMPTY, Context, Template, current_frame, is_canonical, start_send
from mqtrace.messaging import send_time

from .spans import PREVIOUS, PassedRun, TaskRun, TaskSend, note, sent_ms
from .state import INSTRUMENTATION
from .templates import Tasks

__all__ = ["attempt_at_work", "previous", "start_retry"]


def attempt_at_work(app: Any, task_id: object) -> TaskRun | PassedRun | None:
    """The attempt at this task that is running here, in whose name it is sent again; None where none is."""
    frame = current_frame()
    if type(frame) is TaskRun and frame.task_id == task_id:  # also one that the main process tells of
        return frame
    # the user's own span is current, or the trace is not recorded
    task = None if app is None else app.current_worker_task
    attempt = None if task is None else INSTRUMENTATION.running.get(id(task.request_stack.top))
    return attempt if attempt is not None and attempt.task_id == task_id else None


def start_retry(
    tasks: Tasks, template: Template, facts: Any, headers: dict[str, Any], attempt: TaskRun | PassedRun
) -> TaskSend | None:
    """Start the send span of a retry, and what its message is to carry into the headers. None: it is not recorded."""
    operation = tasks.sends
    if isinstance(attempt, PassedRun):
        if attempt.identity is not None and "traceparent" not in headers and operation.w3c_only:
            headers["traceparent"] = attempt.identity.decode("ascii")
        return None
    propagator = operation.tracer.propagator
    if propagator.fields:
        headers[PREVIOUS] = attempt.identity.decode("ascii")
    carrier = MappingCarrier(headers)
    first = propagator.extract(carrier, EMPTY, None)
    if first.identity is None:
        # The first message carried nothing: its attempt is the root, and the others are below it, side by side.
        propagator.inject(carrier, attempt)
        first = Context.of(attempt)
        ours = True
    else:
        ours = send_time.take(first.state)[1] != send_time.UNKNOWN
    frame = start_send(template.as_client(), TaskSend)
    if type(frame) is not TaskSend:
        return None
    frame.add_link(first)
    note(frame, facts)
    if ours and "tracestate" in propagator.fields:
        headers["tracestate"] = send_time.stamp(send_time.take(first.state)[0], sent_ms(frame))
    return frame


def previous(headers: Any) -> Context | None:
    """The attempt before, as a retry's headers name it."""
    text = headers.get(PREVIOUS)
    if type(text) is str and text.isascii():
        identity = text.encode("ascii")
        if is_canonical(identity):
            return Context(identity)
    return None
