"""Ctrl-C, and whatever else a handler of a signal raises, where this client loses it.

While delivery reports are served, on Python 3.11: Python's own handler of SIGINT raises a KeyboardInterrupt that is no
object yet. Where that happens within a delivery callback, the client keeps the object only (confluent_kafka.h,
``cfl_exception_fetch``, before 3.12), so that the call fails with a SystemError.

While headers are read, on every Python: ``PyObject_Str`` of a header's key runs the handlers of signals that came
since, and the client puts a TypeError about the key in the place of what they raise.

Without tracing there may be neither a callback in Python nor a header; so it is put right here.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

__all__ = ["INTERRUPTED", "interruptible", "interruptible_method", "interruption"]

#: Methods of a producer that serve delivery reports, where they lose what is raised within one.
INTERRUPTED: Final = () if sys.version_info >= (3, 12) else ("poll", "flush")

if sys.version_info >= (3, 12):

    def interruptible_method(call: Callable[..., Any]) -> Callable[..., Any]:
        """The method as it is: nothing is lost."""
        return call

    def interruptible(call: Callable[..., Any]) -> Callable[..., Any]:
        """The call as it is: nothing is lost."""
        return call

else:

    def interruptible(call: Callable[..., Any]) -> Callable[..., Any]:
        """``poll`` or ``flush`` of a producer, which raise KeyboardInterrupt where it came within a callback."""

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
        """The same of the method of a class."""

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
    """What to raise for an error of ``produce`` with these headers, where a handler of a signal raised; else None.

    What the handler raised nobody knows any more. A KeyboardInterrupt ends a loop that goes on after any error.
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
