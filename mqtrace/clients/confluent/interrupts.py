"""Ctrl-C while delivery reports are served, which Python 3.11 and this client lose between them.

Python's own handler of SIGINT raises a KeyboardInterrupt that is no object yet. Where that happens within a delivery
callback, the client keeps the object only (confluent_kafka.h, ``cfl_exception_fetch``, before 3.12), so that the call
fails with a SystemError. Without tracing there may be no callback in Python at all; so it is put right here.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["interruptible"]

if sys.version_info >= (3, 12):

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

    def _is_lost(error: SystemError) -> bool:
        return (
            str(error).endswith("returned NULL without setting an exception")
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
            and threading.current_thread() is threading.main_thread()
        )
