"""All that changes while Celery's tasks are traced, in one object: which apps, what is replaced, which attempts run."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from mqtrace.core import Context
from mqtrace.tracer import SpanTracer, default

from .spans import AttemptSpan, UnsampledAttempt
from .templates import Tasks

__all__ = ["INSTRUMENTATION", "Cancelled", "Instrumentation"]


class Cancelled(NamedTuple):
    """An attempt that this worker has cancelled."""

    span: AttemptSpan
    #: ns since the epoch.
    cancelled_ns: int
    #: billiard's ApplyResult.
    result: Any


class Instrumentation:
    """The state of this process; the children that it forks inherit it."""

    __slots__ = (
        "_by_app",
        "_every_app",
        "attempt_ids",
        "caches_before",
        "cancelled",
        "eager_attempts",
        "in_pool_child",
        "replaced",
        "requests",
        "running",
    )

    def __init__(self) -> None:
        self._every_app: Tasks | None = None
        self._by_app: dict[Any, Tasks] = {}
        #: Whether this process is a child of a prefork pool: the main process has chosen its attempts' span ids.
        self.in_pool_child = False
        #: The original methods of Celery that are replaced, by name.
        self.replaced: dict[str, Callable[..., Any]] = {}
        #: The signals whose cache is turned on (dispatch.py), and the caches that they had.
        self.caches_before: list[tuple[Any, Any]] = []
        #: The attempts that run here, by the id of their request, from ``task_prerun`` to ``task_postrun``. They are
        #: not kept in the request, which an application may pickle, copy or write as JSON. A context variable would
        #: do too, but costs more.
        self.running: Final[dict[int, AttemptSpan | UnsampledAttempt]] = {}
        #: The contexts of eager attempts that wait for their retry, by task id. A retry follows at once. If none does,
        #: because the caller gave up, the context must not stay for ever.
        self.eager_attempts: OrderedDict[object, Context] = OrderedDict()
        #: In the main process of a prefork pool: the requests whose attempts have a span id of ours, by task id,
        #: because ``task_revoked`` does not pass the request.
        self.requests: WeakValueDictionary[str, Any] = WeakValueDictionary()
        #: The span ids of these attempts, until they are reported. An id that is only in the headers came with the
        #: message, and means nothing.
        self.attempt_ids: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        #: Attempts that were cancelled here, by request, until it is known whether their child reported them.
        self.cancelled: dict[Any, Cancelled] = {}

    # ------------------------------------------------------------------ which tasks

    def for_app(self, app: Any) -> Tasks | None:
        """How the tasks of this app are traced; None if they are not."""
        return self._by_app.get(app, self._every_app) if self._by_app else self._every_app

    def for_task(self, task: Any) -> Tasks | None:
        """How this task is traced. Its app is read only at need: that takes a microsecond."""
        return self._by_app.get(task.app, self._every_app) if self._by_app else self._every_app

    def use(self, app: Any, tasks: Tasks) -> None:
        """Trace the tasks of ``app`` like this from now on; None: those of every app that has no entry of its own."""
        if app is None:
            self._every_app = tasks
        else:
            self._by_app[app] = tasks

    def forget(self, tracer: SpanTracer | None) -> bool:
        """Stop tracing the tasks whose spans this tracer makes; None: all. Returns whether no tasks are left.

        Tasks without a tracer of their own are the default tracer's.
        """
        if self._every_app is not None and _is_of(self._every_app, tracer):
            self._every_app = None
        for app, tasks in list(self._by_app.items()):
            if _is_of(tasks, tracer):
                self._by_app.pop(app, None)
        return not self.configured()

    def configured(self) -> list[Tasks]:
        """Every group of tasks that is traced."""
        return [*([] if self._every_app is None else [self._every_app]), *self._by_app.values()]

    # ------------------------------------------------------------------ what is replaced

    def replace(self, owner: Any, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace a method of Celery by ``make(method)``, unless it is replaced. ``make`` has the method's name."""
        name = make.__name__
        if name not in self.replaced:
            original = self.replaced[name] = getattr(owner, name)
            setattr(owner, name, functools.wraps(original)(make(original)))

    def put_back(self, owner: Any, name: str) -> None:
        """Put a method back. If another library has replaced ours, ours stays beneath and calls the original."""
        original = self.replaced.pop(name, None)
        if original is not None and getattr(getattr(owner, name), "__wrapped__", None) is original:
            setattr(owner, name, original)


def _is_of(tasks: Tasks, tracer: SpanTracer | None) -> bool:
    return tracer is None or (default() if tasks.tracer is None else tasks.tracer) is tracer


INSTRUMENTATION: Final = Instrumentation()
