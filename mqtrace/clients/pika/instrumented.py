"""OpenTelemetry's instrumentation of pika, as far as it wraps what mqtrace traces.

It puts functions of its own on each channel, into the callbacks that a channel holds, and in place of the deque that
``consume`` takes messages from. A callback that has an ``_original_callback`` it takes for one it has decorated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from mqtrace.clients.instrumented import beneath, is_theirs, say, traced_by_us

__all__ = ["leave_consume", "leave_ours", "publish_of", "taken"]

#: Whether this thread takes messages for a traced channel.
_taking: Final = threading.local()
_leaves = False


def publish_of(channel: Any) -> Any:
    """``basic_publish`` of a channel, without theirs over it."""
    publish = channel.basic_publish
    say("pika", (publish,))
    below: Any = getattr(channel, "_impl", None)  # a blocking channel's asynchronous one, which they wrap as well
    if is_theirs(getattr(below, "basic_publish", None)):
        below.basic_publish = beneath(below.basic_publish)
    return beneath(publish)


def leave_ours(module: ModuleType) -> None:
    """Have it leave alone the channels of traced classes."""
    instrumentor: Any = module.__dict__["PikaInstrumentor"]
    theirs = instrumentor.instrument_channel

    def instrument_channel(channel: Any, *args: Any, **kwargs: Any) -> None:
        if traced_by_us(channel):
            say("pika", (theirs,))
        else:
            theirs(channel, *args, **kwargs)

    instrumentor.instrument_channel = staticmethod(instrument_channel)


def leave_consume(module: ModuleType) -> None:
    """Have it make no spans of what ``consume`` of a traced channel returns."""
    global _leaves
    kind: Any = module.__dict__["ReadyMessagesDequeProxy"]
    theirs = kind.popleft

    def popleft(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_taking, "on", False):
            return self.__wrapped__.popleft(*args, **kwargs)
        return theirs(self, *args, **kwargs)

    kind.popleft = popleft
    _leaves = True


def taken(messages: Any) -> Any:
    """What ``consume`` returns, such that theirs leaves it alone."""
    return _taken(messages) if _leaves else messages


def _taken(messages: Any) -> Iterator[Any]:
    try:
        while True:
            _taking.on = True
            try:
                message = next(messages)
            except StopIteration:
                return
            finally:
                _taking.on = False
            yield message
    finally:
        messages.close()
