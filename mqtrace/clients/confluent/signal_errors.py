"""Ctrl-C, and whatever else a handler of a signal raises, if this client loses it.

While delivery reports are served, on Python 3.11: Python's handler of SIGINT sets the error KeyboardInterrupt as a
class, without an object. If that happens within a delivery callback, the client keeps only the missing object
(confluent_kafka.h, ``cfl_exception_fetch``, before 3.12), and the call fails with a SystemError.

While headers are read, on every Python: ``PyObject_Str`` of a header's key runs the handlers of pending signals, and
the client replaces what they raise by a TypeError about the key.

Without tracing there may be neither a callback in Python nor a header, so it is repaired here.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

__all__ = ["INTERRUPTIBLE", "interruptible", "interruptible_method", "interruption"]

#: Methods of a producer that serve delivery reports, if they lose what is raised within one.
INTERRUPTIBLE: Final = () if sys.version_info >= (3, 12) else ("poll", "flush")


def interruptible(call: Callable[..., Any]) -> Callable[..., Any]:
    """``poll`` or ``flush`` of a producer, which raises the KeyboardInterrupt that came within a callback."""

    @functools.wraps(call, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def interrupted(timeout: Any = -1.0) -> Any:
        try:
            return call(timeout)
        except SystemError as error:
            if not _is_lost(error):
                raise
        raise KeyboardInterrupt

    return interrupted


def interruptible_method(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same for the method of a class."""

    @functools.wraps(call, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def interrupted(self: Any, timeout: Any = -1.0) -> Any:
        try:
            return call(self, timeout)
        except SystemError as error:
            if not _is_lost(error):
                raise
        raise KeyboardInterrupt

    return interrupted


def _is_lost(error: SystemError) -> bool:
    return (
        str(error).endswith("returned NULL without setting an exception")
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    )


def interruption(error: BaseException, headers: Any) -> KeyboardInterrupt | None:
    """What to raise instead of an error of ``produce`` with these headers if a handler of a signal raised; else None.

    It is not known what the handler raised. A KeyboardInterrupt ends even a loop that goes on after any error.
    """
    if not isinstance(error, TypeError) or not str(error).startswith("expected header key"):
        return None
    if threading.current_thread() is not threading.main_thread():
        return None  # handlers of signals run in the main thread alone
    try:
        if not all(type(key) is str for key in dict(headers)):
            return None  # the client is right
    except (TypeError, ValueError):
        return None
    return KeyboardInterrupt("a handler of a signal raised while the headers of a message were read")
