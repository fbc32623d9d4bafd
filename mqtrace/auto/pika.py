"""pika: the channels that its connections make."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final
from weakref import WeakKeyDictionary

import mqtrace

__all__ = ["put_in_place"]


def put_in_place(module: ModuleType) -> None:
    """Have ``channel()`` of a connection, blocking or asynchronous, return a traced channel."""
    blocking: Any = module.__dict__["BlockingConnection"]
    connection: Any = module.__dict__["connection"].Connection
    blocking.channel = _blocking(blocking.channel)
    connection.channel = _asynchronous(connection.channel)


#: Whether a blocking connection is making the channel that it keeps to itself: per thread.
_within: Final = threading.local()


def _blocking(channel: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(channel)
    def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        _within.blocking = True
        try:
            raw_channel = channel(self, *args, **kwargs)
        finally:
            _within.blocking = False
        return mqtrace.wrap(raw_channel)

    return traced


# The channel that is returned and the one that the callback is given are one object.
_traced: Final[WeakKeyDictionary[Any, Any]] = WeakKeyDictionary()


def _of(raw: Any) -> Any:
    traced_channel = _traced.get(raw)
    if traced_channel is None:
        traced_channel = _traced[raw] = mqtrace.wrap(raw)
    return traced_channel


def _asynchronous(channel: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(channel)
    def traced(self: Any, channel_number: Any = None, on_open_callback: Any = None) -> Any:
        if getattr(_within, "blocking", False):
            return channel(self, channel_number, on_open_callback)
        opened = on_open_callback
        if callable(on_open_callback):
            opened = functools.wraps(on_open_callback, updated=())(lambda raw: on_open_callback(_of(raw)))
        return _of(channel(self, channel_number, opened))

    return traced
