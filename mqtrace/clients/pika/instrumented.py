"""OpenTelemetry's instrumentation of pika, as far as it wraps what mqtrace traces.

It puts functions of its own on each channel, around the callbacks that a channel holds, and in place of the deque that
``consume`` takes messages from. All of that stays, and passes by as long as mqtrace makes spans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

from mqtrace.clients.instrumented import is_theirs, makes_spans, traced_by_us, uninstrumented, warn_if_theirs
from mqtrace.clients.proxy import state_of
from mqtrace.imports import when_imported
from mqtrace.messaging import Operation

from .consuming import TracedCallback

__all__ = ["leave", "publish_of", "taken"]

#: Whether this thread takes messages for a traced channel.
_taking: Final = threading.local()
_leaves = False


def publish_of(channel: Any) -> Any:
    """``basic_publish`` of a channel, without theirs over it as long as the channel is traced."""
    publish = channel.basic_publish
    warn_if_theirs("pika", (publish,))
    below: Any = getattr(channel, "_impl", None)  # a blocking channel's asynchronous one, which they wrap as well
    if is_theirs(getattr(below, "basic_publish", None)):
        below.basic_publish = _passing(channel, below.basic_publish)
    return _passing(channel, publish) if is_theirs(publish) else uninstrumented(publish)


def _passing(channel: Any, theirs: Callable[..., Any]) -> Callable[..., Any]:
    plain = uninstrumented(theirs)

    def basic_publish(*args: Any, **kwargs: Any) -> Any:
        return (plain if traced_by_us(channel) else theirs)(*args, **kwargs)

    vars(basic_publish)["_original_function"] = plain  # where theirs looks to take it away
    return basic_publish


def _skip_ours(module: ModuleType) -> None:
    """Have it leave alone the channels of traced classes."""
    instrumentor: Any = module.__dict__["PikaInstrumentor"]
    theirs = instrumentor.instrument_channel

    def instrument_channel(channel: Any, *args: Any, **kwargs: Any) -> None:
        state: Any = state_of(channel)
        if state is None:
            theirs(channel, *args, **kwargs)
        elif makes_spans(state.operation):
            warn_if_theirs("pika", (theirs,))
        elif state.raw is None:
            theirs(channel, *args, **kwargs)
            channel.basic_publish = _passing(channel, channel.basic_publish)
        else:
            theirs(state.raw, *args, **kwargs)
            state.publish = publish_of(state.raw)

    instrumentor.instrument_channel = staticmethod(instrument_channel)


def _leave_messages(module: ModuleType) -> None:
    """Have it make no spans of what a traced channel's callbacks are given, and of what its ``consume`` returns."""
    global _leaves
    kind: Any = module.__dict__["ReadyMessagesDequeProxy"]
    theirs = kind.popleft

    def popleft(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_taking, "on", False):
            return self.__wrapped__.popleft(*args, **kwargs)
        return theirs(self, *args, **kwargs)

    kind.popleft = popleft
    decorate = module.__dict__["_decorate_callback"]

    def decorate_unless_ours(callback: Any, *args: Any, **kwargs: Any) -> Any:
        decorated = decorate(callback, *args, **kwargs)
        if not isinstance(callback, TracedCallback):
            return decorated

        def call(*message: Any) -> Any:
            return (callback if makes_spans(callback.operation) else decorated)(*message)

        return call

    module.__dict__["_decorate_callback"] = decorate_unless_ours
    _leaves = True


def leave() -> None:
    """Have it leave alone what is ours, now or once it is imported."""
    when_imported("opentelemetry.instrumentation.pika.utils", _leave_messages)
    when_imported("opentelemetry.instrumentation.pika.pika_instrumentor", _skip_ours)


def taken(messages: Any, operation: Operation) -> Any:
    """What ``consume`` returns, such that theirs leaves it alone while spans are made of this operation."""
    return _taken(messages, operation) if _leaves else messages


def _taken(messages: Any, operation: Operation) -> Iterator[Any]:
    try:
        while True:
            _taking.on = makes_spans(operation)
            try:
                message = next(messages)
            except StopIteration:
                return
            finally:
                _taking.on = False
            yield message
    finally:
        messages.close()
