"""The system's threads and locks, also where gevent or eventlet has replaced them.

Both replace names of the standard library, so that a thread is a greenlet: the export worker as a greenlet would stop
all others while it waits in C. So the worker is a system thread in every program, and what it shares with others has
system locks, which are held for microseconds. Code that waits for the worker waits as the program does.

The originals are looked up when mqtrace is imported, whether gevent or eventlet is imported before or after.
"""

from __future__ import annotations

import sys
import time
from _queue import Empty, SimpleQueue  # those written in C, which nobody replaces
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from threading import Lock, RLock

__all__ = [
    "Empty",
    "RLock",
    "SimpleQueue",
    "allocate_lock",
    "get_ident",
    "is_cooperative",
    "sleep",
    "start_thread",
    "wait",
]

# A greenlet that waits looks this often, at first and later.
_FIRST_PAUSE_S: Final = 0.001
_LAST_PAUSE_S: Final = 0.02


def _original(module: str, name: str) -> Any:
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None:
        return gevent.get_original(module, name)
    return getattr(import_module(module) if eventlet is None else eventlet.original(module), name)


if not TYPE_CHECKING:
    RLock = _original("_thread", "RLock")
allocate_lock: Final[Callable[[], Lock]] = _original("_thread", "allocate_lock")
get_ident: Final[Callable[[], int]] = _original("_thread", "get_ident")
sleep: Final[Callable[[float], None]] = _original("time", "sleep")

#: ``start_thread(function, arguments)``: a thread that nobody waits for; RuntimeError if it cannot start.
#: Not a threading.Thread, whose start and end take a lock that the child of a fork in C may find taken.
start_thread: Final[Callable[[Callable[..., object], tuple[Any, ...]], int]] = _original("_thread", "start_new_thread")


def is_cooperative() -> bool:
    """Whether threads are greenlets here: one that waits must let the others go on."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    return bool(
        (gevent is not None and gevent.is_module_patched("time"))
        or (eventlet is not None and eventlet.is_monkey_patched("time"))
    )


def wait(lock: Lock, seconds: float) -> bool:
    """Acquire a system lock within this time. Returns whether it was acquired."""
    if lock.acquire(blocking=False):
        return True
    if not is_cooperative():
        return lock.acquire(timeout=seconds)
    ends, pause = time.monotonic() + seconds, _FIRST_PAUSE_S
    while not lock.acquire(blocking=False):
        left = ends - time.monotonic()
        if left <= 0:
            return False
        try:
            time.sleep(min(pause, left))
        except AssertionError:  # gevent's in its own loop, where nothing else can go on
            return lock.acquire(timeout=left)
        pause = min(_LAST_PAUSE_S, pause * 2)
    return True
