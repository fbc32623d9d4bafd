"""OpenTelemetry's instrumentation of pika, where it wraps what mqtrace traces.

It replaces methods of each channel, wraps the callbacks that a channel holds, and replaces the deque from which
``consume`` takes messages. All of that stays in place, but does nothing as long as mqtrace makes spans.
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

__all__ = ["publish_of", "skip_ours", "without_theirs"]

#: Whether this thread takes messages from the deque for a traced channel.
_taking: Final = threading.local()
_deque_is_replaced = False


def publish_of(channel: Any) -> Any:
    """``basic_publish`` of a channel, without OpenTelemetry's as long as the channel is traced."""
    publish = channel.basic_publish
    warn_if_theirs("pika", (publish,))
    below: Any = getattr(channel, "_impl", None)  # a blocking channel's asynchronous one, which they wrap as well
    if is_theirs(getattr(below, "basic_publish", None)):
        below.basic_publish = _unless_traced(channel, below.basic_publish)
    return _unless_traced(channel, publish) if is_theirs(publish) else uninstrumented(publish)


def _unless_traced(channel: Any, theirs: Callable[..., Any]) -> Callable[..., Any]:
    original = uninstrumented(theirs)

    def basic_publish(*args: Any, **kwargs: Any) -> Any:
        return (original if traced_by_us(channel) else theirs)(*args, **kwargs)

    vars(basic_publish)["_original_function"] = original  # uninstrumenting a channel reads it
    return basic_publish


def _skip_channels(module: ModuleType) -> None:
    """Make its ``instrument_channel`` leave traced channels alone."""
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
            channel.basic_publish = _unless_traced(channel, channel.basic_publish)
        else:
            theirs(state.raw, *args, **kwargs)
            state.publish = publish_of(state.raw)

    instrumentor.instrument_channel = staticmethod(instrument_channel)


def _skip_messages(module: ModuleType) -> None:
    """Stop its spans of the messages that a traced channel's callbacks and its ``consume`` receive."""
    global _deque_is_replaced
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
    _deque_is_replaced = True


def skip_ours() -> None:
    """Make it leave alone what mqtrace traces, now or once it is imported."""
    when_imported("opentelemetry.instrumentation.pika.utils", _skip_messages)
    when_imported("opentelemetry.instrumentation.pika.pika_instrumentor", _skip_channels)


def without_theirs(messages: Any, operation: Operation) -> Any:
    """What ``consume`` returns, without OpenTelemetry's spans while mqtrace makes spans of this operation."""
    return _without_theirs(messages, operation) if _deque_is_replaced else messages


def _without_theirs(messages: Any, operation: Operation) -> Iterator[Any]:
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
