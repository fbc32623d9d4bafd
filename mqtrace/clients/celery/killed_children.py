"""Attempts whose child of a prefork pool was killed: only the worker's main process can tell of them.

- A child that exceeds a hard time limit, or is killed, takes its span with it. The main process hears of it as
  ``Request.on_failure`` with WorkerLostError or TimeLimitExceeded. ``task_failure`` is sent too, but not where the
  message goes back to the queue (``acks_late`` with ``reject_on_worker_lost``), and not with the request.
- A worker that shuts down cold cancels what runs (``Request.cancel``); for tasks with ``acks_late`` no signal says so.
- Within a soft shutdown the main process sleeps, and then cancels also what has ended meanwhile: the child has told of
  that, but its result is not read yet. So a cancelled attempt is told of once its result was read, or at the end. A
  worker that shuts down cold sends no ``worker_shutdown``: that end is the interpreter's.
- Both methods are made to be overridden ("Custom requests" in Celery's guide), and are called within a frame of ours:
  what they send, errbacks and retries, is below the failed attempt.
- So that what it caused has its parent, an attempt is named before it is handed to the pool: ``task_received`` puts
  a span id into the request that travels to the child. The child's span takes it, or else the one made here.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Any

from celery.exceptions import TimeLimitExceeded, WorkerLostError  # type: ignore[import-untyped]  # Celery ships no types
from celery.worker.request import Request  # type: ignore[import-untyped]  # as above

from mqtrace.core import attach, new_span_id, restore

from .spans import ATTEMPT, TaskRun
from .state import INSTRUMENTATION, Cancelled
from .unreported_attempts import finish, start_unreported

__all__ = ["attempt_at", "began", "hook", "received", "tell_of_cancelled", "unhook"]


def received(sender: Any = None, request: Any = None, signal: Any = None, **_: Any) -> None:
    """``task_received``, in the main process of a prefork pool: name the attempt."""
    tasks = INSTRUMENTATION.for_app(request.app)
    if tasks is not None and tasks.runs.tracer.propagator.fields:
        request.request_dict[ATTEMPT] = INSTRUMENTATION.names[request] = new_span_id().decode("ascii")
        INSTRUMENTATION.requests[request.id] = request


def attempt_at(task_id: object) -> str | None:
    """The span id that an attempt at this task was given here; None where it was given none, or was told of."""
    request = INSTRUMENTATION.requests.get(task_id) if isinstance(task_id, str) else None
    return None if request is None else INSTRUMENTATION.names.get(request)


def hook() -> None:
    """Be told of attempts that are lost and of those that are cancelled."""
    INSTRUMENTATION.replace(Request, on_failure)
    INSTRUMENTATION.replace(Request, cancel)
    atexit.unregister(tell_of_cancelled)
    atexit.register(tell_of_cancelled)  # it runs before the exporter's, which was imported before


def on_failure(original: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in the place of ``Request.on_failure``."""

    def told(self: Any, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        span = error = None
        replaced = INSTRUMENTATION.replaced.get("on_failure") is original
        if replaced and not (kwargs.get("return_ok") or (len(args) > 1 and args[1])):
            error = getattr(exc_info, "exception", None)
            error = getattr(error, "exc", error)  # billiard wraps it for its traceback
            if isinstance(error, (WorkerLostError, TimeLimitExceeded)):
                span = _lost(self)
            _tell_unless_told(self)
        if span is None or error is None:
            return original(self, exc_info, *args, **kwargs)
        span.state_name = "FAILURE"
        span.token = attach(span)
        try:
            return original(self, exc_info, *args, **kwargs)
        finally:
            restore(span)
            span.fail(error)
            span.end()

    return told


def cancel(original: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in the place of ``Request.cancel``."""

    def told(self: Any, *args: Any, **kwargs: Any) -> Any:
        replaced = INSTRUMENTATION.replaced.get("cancel") is original
        span = _lost(self) if replaced and self.time_start else None
        try:
            return original(self, *args, **kwargs)
        finally:
            if span is not None:
                _keep_cancelled(self, span)

    return told


def unhook() -> None:
    """Put both back."""
    INSTRUMENTATION.put_back(Request, "on_failure")
    INSTRUMENTATION.put_back(Request, "cancel")


def _lost(request: Any) -> TaskRun | None:
    """The span of an attempt that nobody else will tell of; None where somebody does or has."""
    try:
        tasks = INSTRUMENTATION.for_app(request.app)
        attempt = INSTRUMENTATION.names.pop(request, None)
        if tasks is None or attempt is None:
            return None
        span = start_unreported(tasks, request, request.task.name, request.request_dict, attempt)
        if span is not None:
            _began(span, request)
    except Exception:  # noqa: BLE001  # tracing must not cost the worker anything, whatever went wrong
        return None
    return span


def _keep_cancelled(request: Any, span: TaskRun) -> None:
    for each, kept in list(INSTRUMENTATION.cancelled.items()):
        if _asked(kept.result, "ready"):  # its child has told of it: no failure was heard of
            _tell_unless_told(each)
    clock = span.template.pipeline.clock
    result = _asked(request, "_apply_result")  # a weak reference; Celery gives no other way to it
    INSTRUMENTATION.cancelled[request] = Cancelled(span, clock.epoch(clock.now()), result)
    if result is None:
        _tell_unless_told(request)


def _tell_unless_told(request: Any) -> None:
    """Tell that an attempt was cut off, if it was cancelled and its child gave no result."""
    kept = INSTRUMENTATION.cancelled.pop(request, None)
    if kept is not None and not (_asked(kept.result, "ready") and _asked(kept.result, "successful")):
        finish(kept.span, "RETRY", "cancelled", "the worker cancelled the task", kept.cancelled_ns)


def _asked(of: Any, name: str) -> Any:
    """What a method gives that is not made for us; None where it is not there, or is something else by now."""
    try:
        return getattr(of, name)()
    except Exception:  # noqa: BLE001  # what Celery and billiard keep privately may change, and the worker must go on
        return None


def tell_of_cancelled() -> None:
    """The end of the worker: nothing more will be heard of those that were cancelled."""
    if not INSTRUMENTATION.in_pool_child:  # which may have inherited some
        for request in list(INSTRUMENTATION.cancelled):
            _tell_unless_told(request)


def began(span: TaskRun, task_id: object) -> None:
    """Have a span begin when its task did, as far as this process knows."""
    request = INSTRUMENTATION.requests.get(task_id) if isinstance(task_id, str) else None
    if request is not None:
        _began(span, request)


def _began(span: TaskRun, request: Any) -> None:
    if request.time_start:
        span.begun_ns = min(span.begun_ns, span.template.pipeline.clock.reading(int(request.time_start * 1e9)))
