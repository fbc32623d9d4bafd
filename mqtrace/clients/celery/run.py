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
from collections import OrderedDict
from contextvars import ContextVar
from typing import Any, Final

from billiard import common as billiard_common  # type: ignore[import-untyped]  # billiard ships no types
from celery.exceptions import Reject, Retry  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace import send_time
from mqtrace.clients.amqp import history, read_context
from mqtrace.core import (
    EMPTY,
    NOOP,
    Context,
    NoopSpan,
    Template,
    current,
    is_canonical,
    restore,
    start_process_below,
)
from mqtrace.messaging import Operation

from .publish import delay, due, previous
from .spans import ATTEMPT, KEPT, PREVIOUS, PassedRun, TaskRun
from .tasks import Tasks, for_app

__all__ = ["begin_attempt", "conclude", "headers_of", "in_pool_child", "name_attempt", "postrun", "prerun", "told"]

# A flag that is not known goes on as zero, which the parser sees to.
_FLAGS: Final = frozenset(("00", "01", "02", "03"))

_current = current.get
_set = current.set

#: Whether this process is a child of a prefork pool, whose attempts the main process has named.
in_pool_child = False

# What billiard's handler of SIGTERM ends a child with (billiard.common._shutdown_cleanup).
_TERMINATED: Final = -(256 - 15)

# Until billiard 4.3 a task that raises SystemExit is, to the main process, a child that was lost.
_LEAVING_IS_LOSS: Final = not hasattr(billiard_common, "terminate_handler_fired")

#: The exception outside a task's body that was told last: ``task_internal_error`` tells it again.
told: ContextVar[int] = ContextVar("mqtrace_celery_told", default=0)

# Eager attempts that are about to be repeated: task id -> its context. A retry follows at once; one that does not,
# because its caller gave up, must not stay for ever.
_repeated: OrderedDict[object, Context] = OrderedDict()
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
    tasks = for_app(task.app)
    if tasks is None:
        return
    try:
        request = task.request_stack.top
        own = request.__dict__
        span = _passed(tasks, own, task_id) or _begin(tasks, task, own)
        if span is not NOOP:
            span.token = _set(span)
            own[KEPT] = span
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
    span = _current()
    if type(span) is PassedRun and span.task_id == task_id:
        restore(span)
        return
    request = task.request_stack.top
    span = None if request is None else request.__dict__.pop(KEPT, None)
    if span is None:
        return
    restore(span)
    if isinstance(span, NoopSpan):
        return
    try:
        error = sys.exc_info()[1]
        if error is not None and error is not span.ambient:
            if in_pool_child and _is_told_elsewhere(error):
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


def _is_told_elsewhere(error: BaseException) -> bool:
    """Whether the main process tells of an attempt that ends like this."""
    if isinstance(error, SystemExit) and error.code == _TERMINATED:  # it had the child terminated
        return True
    return _LEAVING_IS_LOSS and isinstance(error, (SystemExit, KeyboardInterrupt))


def _passed(tasks: Tasks, own: dict[str, Any], task_id: object) -> PassedRun | None:
    """The common case of a trace that is not sampled, without a template: nothing but its context is wanted."""
    text = own.get("traceparent")
    if type(text) is not str or text[-1:] not in ("0", "2") or "tracestate" in own or "baggage" in own:
        return None
    identity = text.encode("ascii", "replace")
    if tasks.uniform is None or not is_canonical(identity) or own.get("is_eager"):
        return None
    span = PassedRun(identity)
    span.task_id = task_id
    return span


def _begin(tasks: Tasks, task: Any, own: dict[str, Any]) -> TaskRun | NoopSpan:
    operation = tasks.runs
    headers = headers_of(own)
    if own.get("is_eager"):
        return _begin_eager(tasks, task, own, headers)
    delivery = own.get("delivery_info") or {}
    template = tasks.run_template(task.app, task.name, delivery.get("exchange"), delivery.get("routing_key"))
    span, context = begin_attempt(operation, template, own, headers, task.app)
    if isinstance(span, NoopSpan):
        return span
    if in_pool_child and context.identity is not None:
        attempt = own.get(ATTEMPT)
        if type(attempt) is str:
            name_attempt(span, attempt)
    return span


def name_attempt(span: TaskRun, attempt: str) -> None:
    """Give a span the id that the main process chose."""
    span.identity = span.identity[:36] + attempt.encode("ascii") + span.identity[52:]


def headers_of(request: Any) -> Any:
    """The message's headers among what a request knows: protocol 2 spreads them over it."""
    if "traceparent" in request:
        return request
    headers = request.get("headers")
    return headers if isinstance(headers, dict) else request


def _read(operation: Operation, headers: Any) -> tuple[Context, int]:
    """The context and the send time (ms; -1: unknown) in a message's headers; what our own sender writes, at once."""
    if not headers:
        return EMPTY, send_time.UNKNOWN
    if operation.direct and type(headers) is dict and "baggage" not in headers:
        text = headers.get("traceparent")
        state = headers.get("tracestate")
        if type(text) is str and type(state) is str and text[-2:] in _FLAGS:
            identity = text.encode("ascii", "replace")
            if is_canonical(identity):
                rest, sent = send_time.take(state)
                if rest is None:
                    return Context(identity), sent
        elif text is None and state is None and "traceparent" not in headers:
            return EMPTY, send_time.UNKNOWN
    return read_context(operation, headers)


def begin_attempt(
    operation: Operation, template: Template, request: Any, headers: Any, app: Any
) -> tuple[TaskRun | NoopSpan, Context]:
    """The span of an attempt at the task of ``request`` (a dict as Celery keeps it), below its message's context."""
    context, sent = _read(operation, headers)
    outer = _current()
    identity = context.identity
    span = start_process_below(template, outer, context, TaskRun)
    if isinstance(span, NoopSpan):
        return span, context
    run = span
    run.origin = identity
    run.partition = run.offset = -1
    run.task_id = request.get("id")
    run.root_id = request.get("root_id") or run.task_id
    run.retries = request.get("retries")
    run.state_name = None
    run.ambient = sys.exc_info()[1]
    run.delay = None
    delivery = request.get("delivery_info")
    run.redelivered = bool(delivery and delivery.get("redelivered"))
    eta = request.get("eta")
    if eta is not None:
        # What was asked for is no time in the queue: waiting begins when the task is due.
        when = due(eta, app)
        if when is not None and sent >= 0:
            run.delay = delay(eta, app, sent / 1e3)
            sent = max(sent, int(when * 1000))
    run.timestamp = sent
    if sent >= 0:
        send_time.note_skew(run, sent)
    if headers:
        if PREVIOUS in headers:
            before = previous(headers)
            if before is not None:
                run.add_link(before, _number(run.retries))
        if "x-death" in headers or "x-delivery-count" in headers:
            run.set_attributes(history(headers))
    return run, context


def _number(retries: object) -> dict[str, object]:
    return {"celery.retries": retries - 1} if type(retries) is int and retries > 0 else {}


def _begin_eager(tasks: Tasks, task: Any, request: Any, headers: Any) -> TaskRun | NoopSpan:
    template = tasks.eager_template(task.name)
    span, _ = begin_attempt(tasks.runs, template, request, headers if headers is not request else None, task.app)
    if not isinstance(span, NoopSpan) and request.get("retries"):
        before = _repeated.pop(request.get("id"), None)
        if before is not None:
            span.add_link(before, _number(request.get("retries")))
    return span


def _repeat(span: TaskRun) -> None:
    _repeated[span.task_id] = Context.of(span)
    if len(_repeated) > _REPEATED:
        _repeated.popitem(last=False)


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
        span.set_attribute("mqtrace.outcome", "requeue" if value.requeue else "reject")
        if isinstance(value.reason, BaseException):
            span.fail(value.reason)
