"""confluent_kafka.aio: its producer and consumer by the names that applications import.

They make a Producer or a Consumer of confluent_kafka, which may be a traced class by now. That one would trace again
what they send, and make spans of their polls in the threads of an executor; so they are given the client's own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

import mqtrace
from mqtrace.clients.confluent.aio_consumer import AIOConsumerState, TracedAIOConsumer
from mqtrace.clients.proxy import traced_kind

from .names import replace_names
from .polling import PollLoop, is_wanted

__all__ = ["put_in_place"]

_CLIENTS: Final = ("AIOProducer", "AIOConsumer")


class LoopConsumerState(AIOConsumerState):
    """The state of a consumer whose loop has spans."""

    __slots__ = ("loop",)

    def __init__(self) -> None:
        super().__init__(None, {})
        self.loop = PollLoop()


class LoopConsumer(TracedAIOConsumer):
    """A consumer whose poll loop has a process span from one poll to the next."""

    __slots__ = ()
    _mqtrace: LoopConsumerState  # pyright: ignore[reportIncompatibleVariableOverride]  # set once, by the class's own constructor

    async def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client. What it returns is current until the next call."""
        self._mqtrace.loop.end()
        return self._mqtrace.loop.polled(await super().poll(*args, **kwargs))

    async def consume(self, *args: Any, **kwargs: Any) -> Any:
        """``consume`` of the client. What it returns is current, as a batch, until the next call."""
        self._mqtrace.loop.end()
        return self._mqtrace.loop.consumed(await super().consume(*args, **kwargs))

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        self._mqtrace.loop.end()
        return await super().close(*args, **kwargs)


class _Bare:
    """The module confluent_kafka, with the client's own classes."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self.Producer: Any = mqtrace.unwrap(library.__dict__["Producer"])
        self.Consumer: Any = mqtrace.unwrap(library.__dict__["Consumer"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``confluent_kafka.aio``, and into the modules that have taken its own from there."""
    space = module.__dict__
    library = sys.modules["confluent_kafka"]
    raw_classes = [space[name] for name in _CLIENTS]
    for raw in raw_classes:
        home = sys.modules[raw.__module__].__dict__
        if home.get("confluent_kafka") is library:
            home["confluent_kafka"] = _Bare(library)
    if is_wanted():
        consumer = space["AIOConsumer"]
        traced_kind(consumer, consumer, LoopConsumer, LoopConsumerState)  # which ``wrap`` returns from now on
    replaced = {raw: mqtrace.wrap(raw) for raw in raw_classes}
    space.update({raw.__name__: traced for raw, traced in replaced.items()})
    replace_names(replaced, "confluent_kafka")
