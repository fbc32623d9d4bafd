"""confluent-kafka: its producers and consumers by the names that applications import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import mqtrace
from mqtrace.clients import confluent as clients
from mqtrace.clients.confluent.consumer import TracedConsumer
from mqtrace.clients.confluent.consumer_state import ConsumerState
from mqtrace.clients.proxy import register
from mqtrace.imports import when_imported

from . import confluent_aio
from .names import replace_names
from .polling import PollLoop, is_wanted

__all__ = ["put_in_place"]

_NAMES: Final = ("Producer", "Consumer", "SerializingProducer", "DeserializingConsumer")


class LoopConsumerState(ConsumerState):
    """The state of a consumer whose loop has spans."""

    __slots__ = ("loop",)

    def __init__(self) -> None:
        super().__init__(None, {}, learns_topics=False)
        self.loop = PollLoop()


class LoopConsumer(TracedConsumer):
    """A consumer whose poll loop has a process span from one poll to the next."""

    __slots__ = ()
    _mqtrace: LoopConsumerState  # pyright: ignore[reportIncompatibleVariableOverride]  # set once, by the class's own constructor

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client. What it returns is current until the next call."""
        return self._mqtrace.loop.polled(self._after(super().poll, args, kwargs))

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        """``consume`` of the client. What it returns is current, as a batch, until the next call."""
        return self._mqtrace.loop.consumed(self._after(super().consume, args, kwargs))

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        return self._after(super().close, args, kwargs)

    def __exit__(self, *exception: Any) -> Any:
        return self._after(super().__exit__, exception, {})

    def _after(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self._mqtrace.loop.end()
        return call(*args, **kwargs)


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``confluent_kafka``, and into the modules that have taken its own from there."""
    space = module.__dict__
    if is_wanted():
        for name in ("Consumer", "DeserializingConsumer"):
            if name in space:
                register(space[name], clients.traced_consumer(space[name], LoopConsumer, LoopConsumerState))
    replaced = {raw: mqtrace.wrap(raw) for name in _NAMES if (raw := space.get(name)) is not None}
    for name in _NAMES:
        if name in space:
            space[name] = replaced[space[name]]
    replace_names(replaced, "confluent_kafka")
    when_imported("confluent_kafka.aio", confluent_aio.put_in_place)
