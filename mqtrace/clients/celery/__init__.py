"""Celery: spans of its tasks, from its signals.

``instrument`` connects receivers to Celery's signals, and replaces the few methods that send no signal where one is
needed. ``uninstrument`` undoes both. docs/celery.md lists the spans, docs/rationale.md explains the replaced methods.
"""

from __future__ import annotations

from typing import Any, Final

from celery import Celery, signals  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.clients import instrumented_classes
from mqtrace.errors import ConfigurationError
from mqtrace.tracer import SpanTracer

from . import attempts, dispatch, killed_children, lifecycle, publish, task_signals
from .state import INSTRUMENTATION
from .templates import Tasks

__all__ = ["instrument", "uninstrument"]

_RECEIVERS: Final = (
    (signals.before_task_publish, publish.before_publish),
    (signals.task_prerun, attempts.prerun),
    (signals.task_postrun, attempts.postrun),
    # tasks that do not run, or whose end another process reports
    (signals.task_revoked, task_signals.revoked),
    (signals.task_rejected, task_signals.rejected),
    (signals.task_unknown, task_signals.unknown),
    (signals.task_internal_error, task_signals.internal_error),
    # the processes of a worker and of beat
    (signals.celeryd_after_setup, lifecycle.worker_is_set_up),
    (signals.worker_process_init, lifecycle.child_began),
    (signals.worker_process_shutdown, lifecycle.flush),
    (signals.worker_shutdown, lifecycle.flush),
    (signals.beat_embedded_init, lifecycle.embedded_beat_began),
)
# Their receivers are cached (dispatch.py).
_CACHED: Final = (
    # sent for each task that succeeds
    *(signals.before_task_publish, signals.task_received, signals.task_prerun, signals.task_postrun),
    # other instrumentations have receivers of these, which expect a span that they began at one of those above
    *(signals.after_task_publish, signals.task_failure, signals.task_retry),
)


def instrument(app: Any = None, tracer: SpanTracer | None = None, **options: Any) -> None:
    """Trace the tasks of ``app``, or of every app, in this process and in the children that it forks.

    ``tracer``: makes the spans; the default tracer if left out. ``flush_timeout``: the seconds that a worker's process
    waits for its spans at most when it ends, 2 if left out. A second call for the same app replaces the first.

    Raises ConfigurationError if ``app`` is not a Celery app, and for an unknown option.
    """
    timeout = options.pop("flush_timeout", 2.0)
    if options:
        raise ConfigurationError(f"instrument_celery() does not know {sorted(options)}: write flush_timeout=2.0")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout < 0:
        raise ConfigurationError(f"flush_timeout={timeout!r} is not a time: write seconds, for example 2.0")
    if app is not None:
        current = getattr(app, "_get_current_object", None)  # celery.current_app is a proxy
        app = app if current is None else current()
        if not isinstance(app, Celery):
            raise ConfigurationError(f"{app!r} is not a Celery app: pass one, or leave it out for every app")
    INSTRUMENTATION.use(app, Tasks(tracer, float(timeout)))
    instrumented_classes.skip_ours_in_library("kombu")
    publish.hook()
    killed_children.hook()
    for signal, receiver in _RECEIVERS:
        dispatch.connect(signal, receiver)
    for signal in _CACHED:
        dispatch.cache_receivers(signal)


def uninstrument(tracer: SpanTracer | None = None) -> None:
    """Stop tracing the tasks of every app. ``tracer``: only those whose spans this tracer makes.

    Spans that have begun end as they would have.
    """
    if not INSTRUMENTATION.forget(tracer):
        return
    for signal, _receiver in _RECEIVERS:
        if signal is signals.task_postrun and INSTRUMENTATION.running:
            continue  # it ends the attempts that run now, and restores what was current before them
        dispatch.disconnect(signal)
    dispatch.disconnect(signals.task_received)
    dispatch.restore_signals()
    publish.unhook()
    killed_children.unhook()
