"""The process span of an attempt: started by ``task_prerun``, ended by ``task_postrun``, current between the two.

- Between the two Celery runs the task's body, stores its result and sends what comes after it (callbacks, the rest of a
  chain, a chord's body): all of that is below the attempt that caused it.
- ``task_postrun`` is sent in a ``finally`` and names the state and the exception, so it tells what ``task_success``,
  ``task_failure`` and ``task_retry`` tell, once. What ends a task from outside Celery's own handling (SystemExit,
  KeyboardInterrupt, a result that cannot be stored) is the exception on its way when it is sent.
- An eager task has no message: it is the child of its caller.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any, Final

from billiard import common as billiard_common  # type: ignore[import-untyped]  # billiard ships no types
from celery.exceptions import Reject, Retry  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.core import (
    NOOP,
    Context,
    NoopSpan,
    attach,
    innermost_frame,
    is_canonical,
    keep_recent,
    restore,
)
from mqtrace.messaging.attributes import OUTCOME

from .runs import begin_attempt, headers_of, name_attempt, retry_number
from .spans import ATTEMPT, PassedRun, TaskRun
from .state import INSTRUMENTATION
from .templates import Tasks

__all__ = ["conclude", "postrun", "prerun", "told"]

# Flags without the sampled bit that level 2 defines, as the two last characters of a traceparent: its 55th follows.
_NOT_SAMPLED: Final = ("0", "2")

_for_task = INSTRUMENTATION.for_task
_current = innermost_frame
_set = attach
_running = INSTRUMENTATION.running
_ended = _running.pop
_new = object.__new__

# What billiard's handler of SIGTERM ends a child with (billiard.common._shutdown_cleanup).
_TERMINATED: Final = -(256 - 15)

# Until billiard 4.3 a task that raises SystemExit is, to the main process, a child that was lost.
_LEAVING_IS_LOSS: Final = not hasattr(billiard_common, "terminate_handler_fired")

#: The exception outside a task's body that was told last: ``task_internal_error`` tells it again.
told: ContextVar[int] = ContextVar("mqtrace_celery_told", default=0)

# Eager attempts that are kept for their next one.
_REPEATED: Final = 256


def prerun(
    sender: Any = None,
    task_id: Any = None,
    task: Any = None,
    args: Any = None,
    kwargs: Any = None,
    signal: Any = None,
    **_: Any,
) -> None:
    """``task_prerun``: start the span of this attempt, and make it current."""
    tasks = _for_task(task)
    if tasks is None:
        return
    try:
        request = task.request_stack.top
        own = request.__dict__
        text = own.get("traceparent")
        if (
            type(text) is str
            and text[54:] in _NOT_SAMPLED
            and tasks.follow_parent_only
            and "tracestate" not in own
            and "baggage" not in own
            and not own.get("is_eager")
            and is_canonical(identity := text.encode("ascii", "replace"))
        ):
            # The common case of a trace that is not sampled: nothing but its context is wanted. 11.0 us for the two
            # signals of such a task, with its template looked up first 12.4, by what follows 14.0.
            passed = _new(PassedRun)
            passed.identity = identity
            passed.state = passed.baggage = None
            passed.task_id = task_id
            passed.key = key = id(request)
            _running[key] = passed
            passed.token = _set(passed)
            return
        if own.get("is_eager"):
            span = _begin_eager(tasks, task, own)
        else:
            delivery = own.get("delivery_info") or {}
            exchange = delivery.get("exchange")
            routing_key = delivery.get("routing_key")
            template = tasks.runs.templates.get((task, exchange, routing_key))
            if template is None:
                template = tasks.attempt_template(task, exchange, routing_key)
            span = begin_attempt(tasks.runs, template, own, own if text is not None else headers_of(own), task)
            if INSTRUMENTATION.in_pool_child:
                if type(span) is TaskRun:
                    name_attempt(span, own)
                _hide_attempt(own)
        if span is not NOOP:
            if type(span) is not TaskRun:
                span = _passed(span, task_id)
            span.key = key = id(request)
            _running[key] = span
            span.token = _set(span)
    except Exception:  # noqa: BLE001  # tracing must not cost the task, whatever went wrong
        tasks.runs.tracer.complain("a task could not be traced when it was run")


def postrun(
    sender: Any = None,
    task_id: Any = None,
    task: Any = None,
    args: Any = None,
    kwargs: Any = None,
    retval: Any = None,
    state: Any = None,
    signal: Any = None,
    **_: Any,
) -> None:
    """``task_postrun``: end it, and make current again what was before."""
    span: Any = _current()
    if (type(span) is not PassedRun and type(span) is not TaskRun) or span.task_id != task_id:
        # nothing was started, or the task left a span of its own current
        span = _running.get(id(task.request_stack.top))
        if span is None or span.task_id != task_id:
            return
    restore(span)
    _ended(span.key, None)
    if type(span) is not TaskRun:
        return
    try:
        error = sys.exception()
        if error is not None and error is not span.ambient:
            if INSTRUMENTATION.in_pool_child and _is_told_elsewhere(error):
                span = None
                return
            span.state_name = "FAILURE"
            span.fail(error)
            told.set(id(error))
        else:
            span.state_name = state
            if state != "SUCCESS":
                conclude(span, state, retval)
                if state == "RETRY" and span.kind == "internal":  # an eager one
                    _repeat(span)
        span.ambient = None
    finally:
        if span is not None:
            span.end()


def _passed(span: Any, task_id: object) -> PassedRun:
    """The span of an attempt that is not recorded, as one that knows its task."""
    passed = PassedRun(span.identity, span.state, span.baggage)
    passed.task_id = task_id
    return passed


def _hide_attempt(request: Any) -> None:
    """Take the name of an attempt out of what its task sees: it is between this process and the main one."""
    request.pop(ATTEMPT, None)
    headers = request.get("headers")
    if type(headers) is dict and headers.pop(ATTEMPT, None) is not None and not headers:
        request["headers"] = None  # as Celery has it where there is none


def _is_told_elsewhere(error: BaseException) -> bool:
    """Whether the main process tells of an attempt that ends like this."""
    if isinstance(error, SystemExit) and error.code == _TERMINATED:  # it had the child terminated
        return True
    return _LEAVING_IS_LOSS and isinstance(error, (SystemExit, KeyboardInterrupt))


def _begin_eager(tasks: Tasks, task: Any, request: Any) -> TaskRun | NoopSpan:
    template = tasks.eager_template(task.name)
    headers = headers_of(request)
    span = begin_attempt(tasks.runs, template, request, headers if headers is not request else None, task)
    if type(span) is TaskRun and request.get("retries"):
        before = INSTRUMENTATION.repeated.pop(request.get("id"), None)
        if before is not None:
            span.add_link(before, retry_number(request.get("retries")))
    return span


def _repeat(span: TaskRun) -> None:
    keep_recent(INSTRUMENTATION.repeated, span.task_id, Context.of(span), _REPEATED)


def conclude(span: TaskRun, state: Any, value: Any) -> None:
    """What an end that is no success leaves on the span. ``value``: the exception, as Celery gives it with the state.

    A retry and ``Ignore`` are what the task wanted, so the status stays unset; what a retry was caused by is an event.
    """
    if state == "FAILURE":
        if isinstance(value, BaseException):
            span.fail(value)
        else:
            span.set_status("error")
    elif state == "RETRY" and isinstance(value, Retry):
        if isinstance(value.exc, BaseException):
            span.record_exception(value.exc)
    elif state == "REJECTED" and isinstance(value, Reject):
        span.set_attribute(OUTCOME, "requeue" if value.requeue else "reject")
        if isinstance(value.reason, BaseException):
            span.fail(value.reason)
