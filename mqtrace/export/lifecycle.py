"""The beginnings and ends of processes: fork, exit, and the children of multiprocessing.

A forked child has the parent's memory and none of its threads. A child of ``multiprocessing`` leaves through
``os._exit`` after the finalizers of ``multiprocessing.util``, so that atexit never runs there; a child of a bare
``os.fork`` that calls ``os._exit`` runs nothing at all, and what it did not flush is lost.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from mqtrace.core import Span, after_fork, open_frames

if TYPE_CHECKING:
    from .batch import BatchProcessor

__all__ = ["EXIT_TIMEOUT", "leave_to_the_parent", "processors", "shutdown_all", "watch_this_process"]

#: Seconds that the end of a process waits for its spans at most.
EXIT_TIMEOUT: Final = 5.0

#: Every processor of this process.
processors: WeakSet[BatchProcessor] = WeakSet()

_inherited: list[Any] = []
_watched: int | None = None


def shutdown_all(timeout: float = EXIT_TIMEOUT) -> None:
    """Shut every processor down, within ``timeout`` seconds for all of them."""
    deadline = time.monotonic() + timeout
    for processor in list(processors):
        processor.shutdown(max(0.0, deadline - time.monotonic()))


def watch_this_process() -> None:
    """Have a child of multiprocessing send its spans before it ends. Called when a worker starts."""
    global _watched
    if _watched == os.getpid():
        return
    _watched = os.getpid()
    # Imported by the child's own beginning; a process that is no such child never pays for the import.
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        # any priority from 0 on runs before the child waits for its own children
        Finalize(None, shutdown_all, exitpriority=10)


def leave_to_the_parent(thing: object) -> None:
    """Keep what a child inherited as it is: letting go of a parent's spans would touch every page they are on."""
    _inherited.append(thing)


def _in_child() -> None:
    # The spans that are current here are the parent's to end; a child that leaves their blocks must not send them.
    for frame in open_frames():
        if isinstance(frame, Span) and not frame.ended:
            frame.ended = frame.begun or 1
    for processor in list(processors):
        processor.after_fork()


atexit.register(shutdown_all)
after_fork(_in_child)
