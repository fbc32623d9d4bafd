"""The processes of a worker and of beat: each exports its spans before it ends.

- A child of a prefork pool ends with ``os._exit``, after ``worker_process_shutdown``. So do a child that is recycled
  (``max_tasks_per_child``) and one that receives SIGTERM, which billiard turns into a SystemExit. It is flushed at that
  signal. mqtrace.export leaves alone what the child inherited from its parent, a librdkafka producer too.
- The embedded beat of ``worker -B`` is a billiard process: when it ends, billiard's own finalizers run, but nothing of
  the standard library's.
- A flush may wait for a broker that is gone: another thread does it, and the wait for that thread is bounded.
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


def worker_is_set_up(instance: Any = None, **_: Any) -> None:
    """``celeryd_after_setup``: where children run the attempts, the main process chooses their ids."""
    pool = getattr(instance, "pool_cls", None)
    if getattr(pool, "__module__", "") == "celery.concurrency.prefork":
        dispatch.connect(signals.task_received, killed_children.received)


def child_began(**_: Any) -> None:
    """``worker_process_init``: in a child of a pool, and in the main process if the pool is solo."""
    INSTRUMENTATION.in_pool_child = _is_child()


def _is_child() -> bool:
    return bool(current_process()._name != "MainProcess")  # noqa: SLF001  # billiard has no other word for it


def embedded_beat_began(**_: Any) -> None:
    """``beat_embedded_init``: in a thread of the worker, or in a process of its own."""
    if _is_child():
        Finalize(None, flush, exitpriority=10)


def flush(**_: Any) -> None:
    """Export the spans that have ended, within the longest ``flush_timeout`` of any ``instrument_celery``.

    ``worker_process_shutdown`` in a child, ``worker_shutdown`` in the main process.
    """
    killed_children.report_cancelled()
    timeout = max((tasks.flush_timeout for tasks in INSTRUMENTATION.configured()), default=0.0)
    deadline = time.monotonic() + timeout
    thread = threading.Thread(target=_flush, args=(deadline,), name="mqtrace-flush", daemon=True)
    try:
        thread.start()
        thread.join(timeout)
    except RuntimeError:  # no thread can be started any more: this one flushes
        _flush(deadline)


def _flush(deadline: float) -> None:
    for processor in list(processors):
        processor.flush(max(0.0, deadline - time.monotonic()))
