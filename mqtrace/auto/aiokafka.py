"""aiokafka: its producer and consumer by the names that applications import."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import mqtrace
from mqtrace.clients.aiokafka import ConsumerState, TracedConsumer
from mqtrace.clients.proxy import traced_kind
from mqtrace.messaging.reading import by_partition

from .names import replace_names
from .polling import PollLoop, is_wanted

__all__ = ["put_in_place"]


class LoopConsumerState(ConsumerState):
    """The state of a consumer whose loop has spans."""

    __slots__ = ("loop",)

    def __init__(self) -> None:
        super().__init__(None, {})
        self.loop = PollLoop()


class LoopConsumer(TracedConsumer):
    """A consumer whose loop has a process span from one message to the next. ``async for`` asks ``getone``."""

    __slots__ = ()
    _mqtrace: LoopConsumerState  # pyright: ignore[reportIncompatibleVariableOverride]  # set once, by the class's own constructor

    async def getone(self, *partitions: Any) -> Any:
        """``getone`` of the client. What it returns is current until the next call."""
        self._mqtrace.loop.end()
        return self._mqtrace.loop.polled(await super().getone(*partitions))

    async def getmany(self, *partitions: Any, **kwargs: Any) -> Any:
        """``getmany`` of the client. What it returns is current, as a batch, until the next call."""
        self._mqtrace.loop.end()
        records = await super().getmany(*partitions, **kwargs)
        self._mqtrace.loop.consumed(by_partition(records))
        return records

    async def stop(self) -> Any:
        """``stop`` of the client."""
        self._mqtrace.loop.end()
        return await super().stop()


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``aiokafka``, and into the modules that have taken its own from there."""
    space = module.__dict__
    consumer = space["AIOKafkaConsumer"]
    if is_wanted():
        traced_kind(consumer, consumer, LoopConsumer, LoopConsumerState)  # which ``wrap`` returns from now on
    replaced = {space[name]: mqtrace.wrap(space[name]) for name in ("AIOKafkaProducer", "AIOKafkaConsumer")}
    space.update({raw.__name__: traced for raw, traced in replaced.items()})
    replace_names(replaced, "aiokafka")
