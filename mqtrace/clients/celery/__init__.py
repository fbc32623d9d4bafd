"""Celery: spans of its tasks, from its signals.

``instrument`` connects receivers to Celery's signals and puts in the few hooks for what no signal tells;
``uninstrument`` takes all of it away. See docs/celery.md for every span, and docs/rationale.md for every hook.
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

#: Seconds that the end of a worker's process waits for its spans, if nothing else is said.
FLUSH_TIMEOUT: Final = 2.0

# Of tasks that are sent and run; of those that are not, or whose end is told from outside; of a worker's processes.
_OF_ATTEMPTS: Final = (
    (signals.before_task_publish, publish.before_publish),
    (signals.task_prerun, attempts.prerun),
    (signals.task_postrun, attempts.postrun),
)
_OF_OTHER_ENDS: Final = (
    (signals.task_revoked, task_signals.revoked),
    (signals.task_rejected, task_signals.rejected),
    (signals.task_unknown, task_signals.unknown),
    (signals.task_internal_error, task_signals.internal_error),
)
_OF_PROCESSES: Final = (
    (signals.celeryd_after_setup, lifecycle.worker_is_set_up),
    (signals.worker_process_init, lifecycle.child_began),
    (signals.worker_process_shutdown, lifecycle.flush),
    (signals.worker_shutdown, lifecycle.flush),
    (signals.beat_embedded_init, lifecycle.embedded_beat_began),
)
_RECEIVERS: Final = (*_OF_ATTEMPTS, *_OF_OTHER_ENDS, *_OF_PROCESSES)
# Sent for each task that succeeds.
_EVERY_TASK: Final = (signals.before_task_publish, signals.task_received, signals.task_prerun, signals.task_postrun)
# Where the instrumentations of others listen as well; they expect a span that they have begun.
_THEIRS: Final = (signals.after_task_publish, signals.task_failure, signals.task_retry)


def instrument(app: Any = None, tracer: SpanTracer | None = None, **options: Any) -> None:
    """Trace the tasks of ``app``, or of every app, in this process and in the children it will fork.

    ``tracer``: whose spans; the default one's if left out. ``flush_timeout``: seconds that the end of a worker's
    process waits for its spans at most, 2 if left out.

    Called again for the same app, it replaces what was asked for before.
    Raises ConfigurationError for what is no app and for an option that is not known.
    """
    timeout = options.pop("flush_timeout", FLUSH_TIMEOUT)
    if options:
        raise ConfigurationError(f"instrument_celery() does not know {sorted(options)}: write flush_timeout=2.0")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout < 0:
        raise ConfigurationError(f"flush_timeout={timeout!r} is not a time: write seconds, for example 2.0")
    if app is not None:
        current = getattr(app, "_get_current_object", None)  # celery.current_app is a proxy
        app = app if current is None else current()
        if not isinstance(app, Celery):
            raise ConfigurationError(f"{app!r} is not a Celery app: give one, or nothing for every app")
    INSTRUMENTATION.use(app, Tasks(tracer, float(timeout)))
    instrumented_classes.skip_ours_in_library("kombu")
    publish.hook()
    killed_children.hook()
    for signal, receiver in _RECEIVERS:
        dispatch.connect(signal, receiver)
    for signal in (*_EVERY_TASK, *_THEIRS):
        dispatch.keep_receivers(signal)


def uninstrument(tracer: SpanTracer | None = None) -> None:
    """Take all of it away, for every app. ``tracer``: what was asked for its spans alone, and the rest goes on.

    Spans that have begun end as they would have.
    """
    if not INSTRUMENTATION.forget(tracer):
        return
    for signal, _receiver in _RECEIVERS:
        if signal is signals.task_postrun and INSTRUMENTATION.running:
            continue  # it ends the attempts that run now, and makes current again what was before them
        dispatch.disconnect(signal)
    dispatch.disconnect(signals.task_received)
    dispatch.look_for_receivers()
    publish.unhook()
    killed_children.unhook()
