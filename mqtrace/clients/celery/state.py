"""All that changes while Celery's tasks are traced, in one object: whose tasks, what was replaced, what runs."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from mqtrace.core import Context
from mqtrace.tracer import SpanTracer, default

from .spans import PassedRun, TaskRun
from .templates import Tasks

__all__ = ["INSTRUMENTATION", "Cancelled", "Instrumentation"]


class Cancelled(NamedTuple):
    """An attempt that this worker has cancelled."""

    span: TaskRun
    #: ns since the epoch.
    cancelled_ns: int
    #: billiard's ApplyResult.
    result: Any


class Instrumentation:
    """Of this process, and inherited by the children that it forks."""

    __slots__ = (
        "_by_app",
        "_every_app",
        "cancelled",
        "in_pool_child",
        "names",
        "receivers_before",
        "repeated",
        "replaced",
        "requests",
        "running",
    )

    def __init__(self) -> None:
        self._every_app: Tasks | None = None
        self._by_app: dict[Any, Tasks] = {}
        #: Whether this process is a child of a prefork pool, whose attempts the main process has named.
        self.in_pool_child = False
        #: Methods of Celery's that are called within a frame of ours, by name: the methods.
        self.replaced: dict[str, Callable[..., Any]] = {}
        #: Signals that keep their receivers (dispatch.py), and what they kept before.
        self.receivers_before: list[tuple[Any, Any]] = []
        #: The attempts that run here, by the id of their request, from ``task_prerun`` to ``task_postrun``. Each is
        #: kept beside its request, not in it: an application may pickle its requests, copy them, or write them as JSON.
        #: A context variable would do too, and cost more.
        self.running: Final[dict[int, TaskRun | PassedRun]] = {}
        #: Contexts of eager attempts that are about to be repeated, by task id. A retry follows at once; one that does
        #: not, because its caller gave up, must not stay for ever.
        self.repeated: OrderedDict[object, Context] = OrderedDict()
        #: In the main process of a prefork pool. The requests whose attempts were named here, by the task's id, since
        #: ``task_revoked`` does not give the request.
        self.requests: WeakValueDictionary[str, Any] = WeakValueDictionary()
        #: Their names, until the attempt has been told of. A name that stands among the headers alone came with the
        #: message, and means nothing.
        self.names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        #: Attempts that were cancelled here, by their requests, until it is known whether their child has told of them.
        self.cancelled: dict[Any, Cancelled] = {}

    # ------------------------------------------------------------------ which tasks

    def for_app(self, app: Any) -> Tasks | None:
        """What was asked for the tasks of this app; None where nothing was."""
        return self._by_app.get(app, self._every_app) if self._by_app else self._every_app

    def for_task(self, task: Any) -> Tasks | None:
        """What was asked for the tasks of this one's app, which a task takes a microsecond to say."""
        return self._by_app.get(task.app, self._every_app) if self._by_app else self._every_app

    def use(self, app: Any, tasks: Tasks) -> None:
        """Trace the tasks of ``app``, None for those of every app, so from now on."""
        if app is None:
            self._every_app = tasks
        else:
            self._by_app[app] = tasks

    def forget(self, tracer: SpanTracer | None) -> bool:
        """Trace nobody's tasks any more, or those that make spans of this tracer. Returns whether none is left.

        What was asked for without a tracer is the default one's.
        """
        if self._every_app is not None and _is_of(self._every_app, tracer):
            self._every_app = None
        for app, asked in list(self._by_app.items()):
            if _is_of(asked, tracer):
                self._by_app.pop(app, None)
        return not self.asked_for()

    def asked_for(self) -> list[Tasks]:
        """Everything that was asked for."""
        return [*([] if self._every_app is None else [self._every_app]), *self._by_app.values()]

    # ------------------------------------------------------------------ what is replaced

    def replace(self, owner: Any, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Have a method of Celery's called within a frame of ours: what ``make``, named like it, returns. Once."""
        name = make.__name__
        if name not in self.replaced:
            original = self.replaced[name] = getattr(owner, name)
            setattr(owner, name, functools.wraps(original)(make(original)))

    def put_back(self, owner: Any, name: str) -> None:
        """Put a method back, unless somebody else has put theirs over ours: then ours only passes on."""
        original = self.replaced.pop(name, None)
        if original is not None and getattr(getattr(owner, name), "__wrapped__", None) is original:
            setattr(owner, name, original)


def _is_of(asked: Tasks, tracer: SpanTracer | None) -> bool:
    return tracer is None or (default() if asked.tracer is None else asked.tracer) is tracer


INSTRUMENTATION: Final = Instrumentation()
