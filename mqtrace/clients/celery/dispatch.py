"""Connects receivers to Celery's signals, and makes a dispatch of those signals cheaper.

Celery looks up the receivers of a signal at each dispatch, under a lock, which costs 1.3 us. Three signals are sent for
a task: together they cost more than all that mqtrace does for a task that is not sampled. Celery's ``Signal`` can cache
the receivers by sender (``use_caching``, an argument of its constructor, as in Django); Celery's own signals leave that
off. It is turned on here for the signals of every task, and off again afterwards. Celery itself clears the cache when a
receiver is connected or disconnected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from celery.utils.dispatch import Signal  # type: ignore[import-untyped]  # Celery ships no types

from .instrumented import unless_traced
from .state import INSTRUMENTATION

__all__ = ["cache_receivers", "connect", "disconnect", "restore_signals"]

# A sender is a task, or the name of one that is sent: a program that invents names must not make the process grow.
_SENDERS: Final = 4096


class _Receivers(dict[Any, Any]):
    """Receivers by sender, for a bounded number of senders."""

    def __setitem__(self, sender: Any, receivers: Any) -> None:
        if len(self) >= _SENDERS:
            self.clear()
        if isinstance(receivers, list):
            receivers[:] = map(unless_traced, receivers)  # in place: the dispatch that looked them up uses this list
        super().__setitem__(sender, receivers)


def connect(signal: Any, receiver: Callable[..., Any]) -> None:
    """Connect a receiver, unless it is connected already."""
    signal.connect(receiver, weak=False, dispatch_uid=_uid(signal))


def disconnect(signal: Any) -> None:
    """Disconnect our receiver."""
    signal.disconnect(dispatch_uid=_uid(signal))


def _uid(signal: Any) -> str:
    return f"mqtrace.{signal.name}"


def cache_receivers(signal: Any) -> None:
    """Turn on the cache of a signal, unless it is on, or the signal is of another class than Celery's."""
    if type(signal) is Signal and signal.use_caching is False and signal.sender_receivers_cache == {}:
        INSTRUMENTATION.caches_before.append((signal, signal.sender_receivers_cache))
        signal.sender_receivers_cache = _Receivers()
        signal.use_caching = True


def restore_signals() -> None:
    """Turn the caches off again."""
    while INSTRUMENTATION.caches_before:
        signal, before = INSTRUMENTATION.caches_before.pop()
        signal.use_caching = False
        signal.sender_receivers_cache = before
