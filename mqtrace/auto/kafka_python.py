"""kafka-python: its producer and consumer by the names that applications import."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import mqtrace
from mqtrace.clients.kafka_python import ConsumerState, TracedConsumer
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
    """A consumer whose loop has a process span from one message to the next."""

    __slots__ = ()
    _mqtrace: LoopConsumerState  # pyright: ignore[reportIncompatibleVariableOverride]  # set once, by the class's own constructor

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client. What it returns is current, as a batch, until the next call."""
        state = self._mqtrace
        if state.within_next:  # of a ``next``, which polls by itself
            return super().poll(*args, **kwargs)
        state.loop.end()
        records = super().poll(*args, **kwargs)
        state.loop.consumed(by_partition(records))
        return records

    def __next__(self) -> Any:
        self._mqtrace.loop.end()
        return self._mqtrace.loop.polled(super().__next__())

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        self._mqtrace.loop.end()
        return super().close(*args, **kwargs)


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``kafka``, and into the modules that have taken its own from there."""
    space = module.__dict__
    consumer = space["KafkaConsumer"]
    if is_wanted():
        traced_kind(consumer, consumer, LoopConsumer, LoopConsumerState)  # which ``wrap`` returns from now on
    replaced = {space[name]: mqtrace.wrap(space[name]) for name in ("KafkaProducer", "KafkaConsumer")}
    space.update({raw.__name__: traced for raw, traced in replaced.items()})
    replace_names(replaced, "kafka")
