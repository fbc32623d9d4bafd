"""SIGTERM, where the application has no handler: what is queued leaves, and the process ends as it would without us.

A handler of Python's runs between two lines of the main thread, also within our queue's lock, within threading's or
logging's. So it takes no lock: another thread does the work, and the handler waits for that, for a bounded time. Where
the interrupted line holds a lock of ours, the work could not be done: the signal is sent once more, a moment later.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from mqtrace import native
from mqtrace.core import after_fork

__all__ = ["is_watched", "leave", "terminated", "watch"]

log = logging.getLogger("mqtrace.export")

# After so long a lock of ours that is not free must be held by the interrupted line.
_HELD_S: Final = 0.05
# After so long a signal that was sent again, and has not come to Python, is sent once more.
_LOST_S: Final = 0.05

#: Returns how long the end may take, seconds.
_timeout: Callable[[], float]
#: Whether no lock of ours is held within this time.
_is_free: Callable[[float], bool]
#: Ends the process's spans; with True they are only sent, because the process goes on afterwards.
_end_spans: Callable[[bool], None]

_since: float | None = None
_waits = False
#: How often the signal has come.
_came = 0


def watch(timeout: Callable[[], float], is_free: Callable[[float], bool], end_spans: Callable[[bool], None]) -> None:
    """Handle SIGTERM, if this is the main thread and the signal has no handler."""
    global _timeout, _is_free, _end_spans
    _timeout, _is_free, _end_spans = timeout, is_free, end_spans
    with contextlib.suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and _is_default_in_c(signal.SIGTERM):
            signal.signal(signal.SIGTERM, _terminated)


def leave() -> None:
    """Put the default handler back, unless somebody has replaced ours."""
    with contextlib.suppress(ValueError):  # not the main thread: ours stays, and only ends the process
        if signal.getsignal(signal.SIGTERM) is _terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def is_watched() -> bool:
    """Whether a tracer of this process has called :func:`watch`, even if another handler has the signal."""
    return "_end_spans" in globals()


def terminated(number: int, frame: FrameType | None) -> None:
    """Let spans leave, and end the process by the signal: for the handler that ``mqtrace run`` has set already."""
    _terminated(number, frame)


def _is_default_in_c(number: int) -> bool:
    """Whether the handler is the system's default too: a program that embeds Python may have set one without it."""
    try:
        import ctypes

        handler = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(("PyOS_getsig", ctypes.pythonapi))
        return handler(number) is None
    except (ImportError, AttributeError):
        return True


def _terminated(number: int, frame: FrameType | None) -> None:
    global _since, _waits, _came
    _came += 1
    if _waits:  # sent twice: the first one's spans have their time, and then it ends
        return
    _waits = True
    if _since is None:
        _since = time.monotonic()
    try:
        ended = _let_out(_since + _timeout() - time.monotonic())
    except BaseException:  # noqa: BLE001  # Ctrl-C while it waits: the process ends all the same
        ended = True
    _waits = False
    if not ended and _send_again():
        return
    _since = None
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    # Only the first process of a container comes here: the system sends it no signal that it has no handler for.
    signal.signal(number, _terminated)


def _let_out(seconds: float) -> bool:
    """Have the spans leave within this time. False: it could not be done now, the signal must come again."""
    finished = native.allocate_lock()
    finished.acquire()
    again: list[bool] = []

    def work() -> None:
        try:
            if seconds > _HELD_S and not _is_free(_HELD_S):
                again.append(True)
            else:
                _end_spans(os.getpid() == 1)
        except BaseException:  # a client's or an exporter's
            log.exception("spans could not be sent before the end of the process")
        finally:
            finished.release()

    try:
        native.start_thread(work, ())
    except RuntimeError:  # there can be no thread any more
        return True
    finished.acquire(timeout=max(0.0, seconds))
    return not again


def _send_again() -> bool:
    """Have the signal come again in a moment. Returns whether it will.

    One that arrives just before the main thread enters a system call is seen by Python when that returns, which may be
    never. The next one interrupts the call.
    """
    before = _came

    def send() -> None:
        native.sleep(0.001)
        while _came == before:
            os.kill(os.getpid(), signal.SIGTERM)
            native.sleep(_LOST_S)

    try:
        native.start_thread(send, ())
    except RuntimeError:
        return False
    return True


def _in_child() -> None:
    global _since, _waits
    _since, _waits = None, False


after_fork(_in_child)
