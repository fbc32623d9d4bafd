"""Attempts whose child of a prefork pool was killed: only the worker's main process can report them.

- A child that exceeds a hard time limit, or is killed, takes its span with it. The main process calls
  ``Request.on_failure`` with WorkerLostError or TimeLimitExceeded. It sends ``task_failure`` too, but without the
  request, and not if the message goes back to the queue (``acks_late`` with ``reject_on_worker_lost``).
- A worker that shuts down cold cancels what runs (``Request.cancel``). For tasks with ``acks_late`` it sends no signal.
- In a soft shutdown the main process sleeps, and then also cancels what has ended meanwhile: the child has reported
  that, but its result is not read yet. So a cancelled attempt is reported once its result was read, or at the end. A
  worker that shuts down cold sends no ``worker_shutdown``: its end is the interpreter's.
- Celery documents both methods for overriding ("Custom requests" in its guide). They are called within a function of
  ours: what they send, errbacks and retries, is below the failed attempt.
- What an attempt caused needs its parent, so ``task_received`` puts the attempt's span id into the request before it
  goes to the pool. The child's span takes this id, or else the span that is made here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.exceptions import TimeLimitExceeded, WorkerLostError  # type: ignore[import-untyped]  # Celery ships no types
from celery.worker.request import Request  # type: ignore[import-untyped]  # as above

from mqtrace.core import attach, new_span_id, restore
from mqtrace.export.lifecycle import before_exit

from .spans import ATTEMPT, AttemptSpan
from .state import INSTRUMENTATION, Cancelled
from .unreported_attempts import finish, start_unreported

__all__ = ["attempt_id_of", "hook", "received", "report_cancelled", "set_begin_of_task", "unhook"]


def received(request: Any = None, **_: Any) -> None:
    """``task_received``, in the main process of a prefork pool: choose the attempt's span id."""
    tasks = INSTRUMENTATION.for_app(request.app)
    if tasks is not None and tasks.process.tracer.propagator.fields:
        request.request_dict[ATTEMPT] = INSTRUMENTATION.attempt_ids[request] = new_span_id().decode("ascii")
        INSTRUMENTATION.requests[request.id] = request


def attempt_id_of(task_id: object) -> str | None:
    """The span id that was chosen here for the attempt at this task; None if none was, or the attempt is reported."""
    request = _request_of(task_id)
    return None if request is None else INSTRUMENTATION.attempt_ids.get(request)


def _request_of(task_id: object) -> Any:
    return INSTRUMENTATION.requests.get(task_id) if isinstance(task_id, str) else None


def hook() -> None:
    """Replace the methods that are called for lost and for cancelled attempts."""
    INSTRUMENTATION.replace(Request, on_failure)
    INSTRUMENTATION.replace(Request, cancel)
    before_exit(report_cancelled)


def unhook() -> None:
    """Put both back."""
    INSTRUMENTATION.put_back(Request, "on_failure")
    INSTRUMENTATION.put_back(Request, "cancel")


def on_failure(original: Callable[..., Any]) -> Callable[..., Any]:
    """What ``Request.on_failure`` is replaced by."""

    def call(self: Any, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        span = error = None
        replaced = INSTRUMENTATION.replaced.get("on_failure") is original
        if replaced and not (kwargs.get("return_ok") or (len(args) > 1 and args[1])):
            error = getattr(exc_info, "exception", None)
            error = getattr(error, "exc", error)  # billiard wraps it for its traceback
            if isinstance(error, (WorkerLostError, TimeLimitExceeded)):
                span = _start_lost(self)
            _report_if_cancelled(self)
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

    return call


def cancel(original: Callable[..., Any]) -> Callable[..., Any]:
    """What ``Request.cancel`` is replaced by."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        replaced = INSTRUMENTATION.replaced.get("cancel") is original
        span = _start_lost(self) if replaced and self.time_start else None
        try:
            return original(self, *args, **kwargs)
        finally:
            if span is not None:
                _keep_cancelled(self, span)

    return call


def _start_lost(request: Any) -> AttemptSpan | None:
    """Start the span of an attempt that nothing else reports; None if something does, or has done so."""
    try:
        tasks = INSTRUMENTATION.for_app(request.app)
        attempt_id = INSTRUMENTATION.attempt_ids.pop(request, None)
        if tasks is None or attempt_id is None:
            return None
        span = start_unreported(tasks, request, request.task.name, request.request_dict, attempt_id)
        if span is not None:
            _set_begin(span, request)
    except Exception:  # noqa: BLE001  # tracing must not cost the worker anything, whatever went wrong
        return None
    return span


def _keep_cancelled(request: Any, span: AttemptSpan) -> None:
    for earlier, kept in list(INSTRUMENTATION.cancelled.items()):
        if _try_call(kept.result, "ready"):  # its child has reported it: no failure came
            _report_if_cancelled(earlier)
    clock = span.template.pipeline.clock
    result = _try_call(request, "_apply_result")  # a weak reference, and the only way to the result
    INSTRUMENTATION.cancelled[request] = Cancelled(span, clock.epoch(clock.now()), result)
    if result is None:
        _report_if_cancelled(request)


def _report_if_cancelled(request: Any) -> None:
    """Report an attempt as cancelled if it was, and its child returned no result. Once."""
    kept = INSTRUMENTATION.cancelled.pop(request, None)
    if kept is not None and not (_try_call(kept.result, "ready") and _try_call(kept.result, "successful")):
        finish(kept.span, "RETRY", "cancelled", "the worker cancelled the task", kept.cancelled_ns)


def _try_call(owner: Any, method: str) -> Any:
    """Call a private method of Celery or billiard; None if it is missing or raises."""
    try:
        return getattr(owner, method)()
    except Exception:  # noqa: BLE001  # a private method may change, and the worker must go on
        return None


def report_cancelled() -> None:
    """Report every cancelled attempt: the worker ends, and no more results will come."""
    if not INSTRUMENTATION.in_pool_child:  # which may have inherited some
        for request in list(INSTRUMENTATION.cancelled):
            _report_if_cancelled(request)


def set_begin_of_task(span: AttemptSpan, task_id: object) -> None:
    """Make a span begin when its task did, as far as this process knows."""
    request = _request_of(task_id)
    if request is not None:
        _set_begin(span, request)


def _set_begin(span: AttemptSpan, request: Any) -> None:
    if request.time_start:
        span.begun_ns = min(span.begun_ns, span.template.pipeline.clock.reading(int(request.time_start * 1e9)))
