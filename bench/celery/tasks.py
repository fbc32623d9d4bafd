"""An app with one task, in a queue of its own."""

from __future__ import annotations

import os
import time
from typing import Any, Final

from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types
from celery.worker import state  # type: ignore[import-untyped]  # as above

__all__ = ["FIRST", "LAST", "WORK", "app", "began"]

WORK: Final = "bench.work"
#: Numbers: one that has the clock started, and one that has the worker stop when its task has run.
FIRST: Final = -1
LAST: Final = -2
#: CPU of the process when the first task ran, s.
began: list[float] = []


def app(broker: str) -> Any:
    """``broker``: a URL."""
    made = Celery("bench", broker=broker)
    made.conf.update(
        task_default_queue=f"bench-{os.getpid()}",
        task_ignore_result=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
    )

    @made.task(name=WORK)  # type: ignore[untyped-decorator]  # as above
    def work(number: int) -> None:
        if number == FIRST:
            began.append(time.process_time())
        elif number == LAST:
            state.should_stop = 0

    made.finalize()
    return made
