"""The processes of a worker and of beat: what they made leaves before they end.

- A child of a prefork pool ends with ``os._exit``, after ``worker_process_shutdown``; so does one that is recycled
  (``max_tasks_per_child``) and one that gets a SIGTERM, which billiard turns into a SystemExit. It is flushed there.
  What it inherited from its parent, a librdkafka producer too, mqtrace.export leaves alone.
- The embedded beat of ``worker -B`` is a billiard process: nothing of the standard library's runs when it ends, but
  billiard's own finalizers do.
- A flush may wait for a broker that is gone: another thread does it, and the wait for that is bounded.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from billiard.process import current_process  # type: ignore[import-untyped]  # billiard ships no types
from billiard.util import Finalize  # type: ignore[import-untyped]  # as above
from celery import signals  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.export.lifecycle import processors

from . import dispatch, killed_children
from .state import INSTRUMENTATION

__all__ = ["child_began", "embedded_beat_began", "flush", "worker_is_set_up"]


def worker_is_set_up(sender: Any = None, instance: Any = None, signal: Any = None, **_: Any) -> None:
    """``celeryd_after_setup``: attempts need a name where children run them."""
    pool = getattr(instance, "pool_cls", None)
    if getattr(pool, "__module__", "") == "celery.concurrency.prefork":
        dispatch.connect(signals.task_received, killed_children.received)


def child_began(sender: Any = None, signal: Any = None, **_: Any) -> None:
    """``worker_process_init``: in a child of a pool, and in the main process where the pool is solo."""
    INSTRUMENTATION.in_pool_child = _is_child()


def _is_child() -> bool:
    return bool(current_process()._name != "MainProcess")  # noqa: SLF001  # billiard has no other word for it


def embedded_beat_began(sender: Any = None, signal: Any = None, **_: Any) -> None:
    """``beat_embedded_init``: in a thread of the worker, or in a process of its own."""
    if _is_child():
        Finalize(None, flush, exitpriority=10)


def flush(sender: Any = None, signal: Any = None, **_: Any) -> None:
    """Send what has ended, within the longest time that any ``instrument_celery`` gave.

    ``worker_process_shutdown`` in a child, ``worker_shutdown`` in the main process.
    """
    killed_children.tell_of_cancelled()
    timeout = max((tasks.flush_timeout for tasks in INSTRUMENTATION.asked_for()), default=0.0)
    deadline = time.monotonic() + timeout
    thread = threading.Thread(target=_flush, args=(deadline,), name="mqtrace-flush", daemon=True)
    try:
        thread.start()
        thread.join(timeout)
    except RuntimeError:  # there can be no thread any more: the processor does the work in this one
        _flush(deadline)


def _flush(deadline: float) -> None:
    for processor in list(processors):
        processor.flush(max(0.0, deadline - time.monotonic()))
