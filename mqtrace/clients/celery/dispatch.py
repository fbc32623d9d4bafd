"""Celery's signals, connected: at what a dispatch costs.

Celery looks for the receivers of a signal anew at each dispatch, under a lock, which costs 1.3 us: of three signals a
task, more than all that mqtrace does for a task that is not sampled. Its ``Signal`` can keep what it found, by sender
(``use_caching``, an argument of its constructor, as Django's signals have it); Celery's own signals leave that off.
For those of every task it is turned on here, and off again afterwards. What is kept is forgotten by Celery itself when
a receiver is connected or disconnected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from celery.utils.dispatch import Signal  # type: ignore[import-untyped]  # Celery ships no types

from .instrumented import leaving
from .state import INSTRUMENTATION

__all__ = ["connect", "disconnect", "keep_receivers", "look_for_receivers"]

# Senders are tasks, or their names where they are sent: a program that makes names up must not grow.
_SENDERS: Final = 4096


class _Receivers(dict[Any, Any]):
    """Receivers by sender, a bounded number of them."""

    def __setitem__(self, sender: Any, receivers: Any) -> None:
        if len(self) >= _SENDERS:
            self.clear()
        if isinstance(receivers, list):
            receivers[:] = map(leaving, receivers)  # in place: the dispatch that has looked for them uses this list
        super().__setitem__(sender, receivers)


def connect(signal: Any, receiver: Callable[..., Any]) -> None:
    """Connect a receiver; twice is once."""
    signal.connect(receiver, weak=False, dispatch_uid=_uid(signal))


def disconnect(signal: Any) -> None:
    """Disconnect the receiver of ours."""
    signal.disconnect(dispatch_uid=_uid(signal))


def _uid(signal: Any) -> str:
    return f"mqtrace.{signal.name}"


def keep_receivers(signal: Any) -> None:
    """Have a signal keep the receivers it has found, unless it does already or is of a make that is not known here."""
    if type(signal) is Signal and signal.use_caching is False and signal.sender_receivers_cache == {}:
        INSTRUMENTATION.receivers_before.append((signal, signal.sender_receivers_cache))
        signal.sender_receivers_cache = _Receivers()
        signal.use_caching = True


def look_for_receivers() -> None:
    """Have the signals look for their receivers each time again."""
    while INSTRUMENTATION.receivers_before:
        signal, before = INSTRUMENTATION.receivers_before.pop()
        signal.use_caching = False
        signal.sender_receivers_cache = before
