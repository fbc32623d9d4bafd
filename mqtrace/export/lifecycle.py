"""The beginnings and ends of processes: fork, exit, and the children of multiprocessing and billiard.

A forked child has the parent's memory and none of its threads. A child of ``multiprocessing`` or of ``billiard``, which
shares its finalizers, leaves through ``os._exit`` after those, so that atexit never runs there; a child of a bare
``os.fork`` that calls ``os._exit`` runs nothing at all, and what it did not flush is lost.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

from mqtrace.core import Span, after_fork, notice_fork, open_frames

from . import termination
from .still_open import end_open_spans

__all__ = [
    "PendingSpans",
    "adopt",
    "before_exit",
    "end_process",
    "exit_early",
    "is_uwsgis_master",
    "leave_to_the_parent",
    "processors",
    "retired",
    "tracers",
]

log = logging.getLogger("mqtrace.export")

_before_exit: list[Callable[[], object]] = []


class PendingSpans(Protocol):
    """An owner of spans that wait for something, such as a delivery report."""

    def end_pending(self) -> None:
        """End them as they are: what they wait for will not come any more."""


class _Settings(Protocol):
    @property
    def exit_timeout(self) -> float: ...
    @property
    def sigterm(self) -> bool: ...


class Ending(Protocol):
    """A processor, as the end of its process sees it; batch.py has the one there is."""

    @property
    def settings(self) -> _Settings: ...
    @property
    def sink(self) -> Any:
        """The queue, with its ``lock``."""
        ...

    def is_open(self) -> bool: ...
    def flush(self, timeout: float, /) -> bool: ...
    def retire(self, timeout: float, /) -> None: ...
    def shutdown(self, timeout: float, /) -> bool: ...
    def after_fork(self) -> None: ...


#: Every processor of this process.
processors: WeakSet[Ending] = WeakSet()
#: Every tracer.
tracers: WeakSet[Any] = WeakSet()

_inherited: list[Any] = []
_registered = False
_watched: int | None = None


def adopt(processor: Ending) -> None:
    """Have this processor's spans leave before the process ends."""
    processors.add(processor)
    _watch_finalizers()
    if processor.settings.sigterm:
        termination.watch(_exit_timeout, _is_free, _terminate)


def retired() -> None:
    """Note that a processor was shut down. After the last one SIGTERM is given back."""
    if not any(processor.is_open() for processor in list(processors)):
        termination.leave()


def _exit_timeout() -> float:
    return max((processor.settings.exit_timeout for processor in list(processors)), default=0.0)


def _is_free(seconds: float) -> bool:
    """Whether every processor's lock can be had, each within ``seconds``."""
    for processor in list(processors):
        lock = processor.sink.lock
        if not lock.acquire(timeout=seconds):
            return False
        lock.release()
    return True


def _terminate(goes_on: bool) -> None:
    """On SIGTERM: end the process's spans; only send them if the process goes on all the same."""
    if not goes_on:
        end_process()
        return
    ends = time.monotonic() + _exit_timeout()
    for processor in list(processors):
        processor.flush(max(0.0, ends - time.monotonic()))


def before_exit(call: Callable[[], object]) -> None:
    """Call this at the exit of the process, before its spans leave; once, however often it is said."""
    if call not in _before_exit:
        _before_exit.append(call)


def exit_early() -> None:
    """Have the spans leave before what has been registered with atexit by now: a provider shuts itself down there."""
    atexit.register(_exit)


def _exit() -> None:
    for call in list(_before_exit):
        try:
            call()
        except Exception:  # the others' spans must leave
            log.exception("what is left to be reported at the exit could not be")
    end_process()


def end_process() -> None:
    """End spans that wait for a report or are open; shut every processor down, each within its ``exit_timeout``."""
    notice_fork()
    began = time.monotonic()
    ending = list(processors)
    for tracer in list(tracers):
        try:
            tracer.end_pending()
        except Exception:  # a client may raise anything, and the others' spans must leave
            log.exception("spans that wait for a report could not be ended")
    if ending:
        end_open_spans()
    # All begin before any is waited for: one that takes the whole time costs the others nothing.
    for processor in ending:
        processor.retire(max(0.0, processor.settings.exit_timeout - (time.monotonic() - began)))
    for processor in ending:
        processor.shutdown(max(0.0, processor.settings.exit_timeout - (time.monotonic() - began)))


def is_uwsgis_master() -> bool:
    """Whether uWSGI will fork its workers from this process, in C: no thread of ours may run then.

    One that waits for the interpreter at that moment leaves it locked in the child, for ever.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    try:
        return uwsgi is not None and not (uwsgi.worker_id() or uwsgi.mule_id() or uwsgi.i_am_the_spooler())
    except AttributeError:  # a module of that name, in a process that is none of uWSGI's
        return False


def _watch_finalizers() -> None:
    """Have a child of multiprocessing or billiard end as a process does.

    Its beginning forgets the finalizers of before, and then calls who is registered for that. A process without such
    children never pays for the import.
    """
    global _registered, _watched
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import process, util

    if not _registered:
        _registered = True
        util.register_after_fork(_finalize, _finalize)
    # billiard says its processes to multiprocessing
    if _watched != os.getpid() and type(process.current_process()).__name__ != "_MainProcess":
        _finalize()


def _finalize(_: object = None) -> None:
    global _watched
    from multiprocessing.util import Finalize

    _watched = os.getpid()
    # any priority from 0 on runs before the child waits for its own children
    Finalize(None, end_process, exitpriority=10)


def leave_to_the_parent(inherited: object) -> None:
    """Keep what a child inherited as it is: freeing a parent's spans would write to every page they are on."""
    _inherited.append(inherited)


def _in_child() -> None:
    # The spans that are current here are the parent's to end; a child that leaves their blocks must not send them.
    for frame in open_frames():
        if isinstance(frame, Span) and not frame.ended:
            frame.ended = frame.begun_ns or 1
    for processor in list(processors):
        processor.after_fork()
    _watch_finalizers()


atexit.register(_exit)
after_fork(_in_child)
