"""What the asynchronous clients of Kafka share: the states of their producers and consumers, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mqtrace.messaging import Endpoint, Operation, kafka
from mqtrace.messaging.futures import abandon_soon
from mqtrace.messaging.reading import Reading
from mqtrace.messaging.records import batch_members
from mqtrace.tracer import SpanTracer

from .kafka_clients import KafkaProducerState
from .proxy import State, Traced

__all__ = ["AsyncConsumerState", "AsyncProducerState", "TracedClose", "TracedStop"]


class _ConfiguredState(State):
    """``options``: those of ``wrap``."""

    __slots__ = ()
    options: Mapping[str, Any]

    @staticmethod
    def endpoint_of(args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Endpoint:
        """The endpoint of a client that is constructed with these arguments. ``options`` count for more."""
        return kafka.endpoint_of({**kwargs, **options})


class AsyncProducerState(KafkaProducerState, _ConfiguredState):
    """The state of a traced producer."""

    __slots__ = ("options",)

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__(tracer)
        self.options = options

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.endpoint = self.endpoint_of(args, kwargs, self.options)

    def closed(self) -> None:
        """End the spans of messages without a report: as far as is known these were not delivered."""
        abandon_soon(self.pending, "stopped before the delivery report")


class AsyncConsumerState(_ConfiguredState):
    """The state of a traced consumer."""

    __slots__ = ("options", "reading")
    #: Reads the members of a receive span from the messages that the consumer returned.
    members_of: Callable[[Operation, Iterable[Any]], Sequence[kafka.BatchMember]] = staticmethod(batch_members)

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.options = options
        self.reading = Reading(tracer, self.members_of)

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.reading.endpoint = self.endpoint_of(args, kwargs, self.options)

    def closed(self) -> None:
        """Forget the topics of the consumer."""
        self.reading.closed()


class _TracedBlock(Traced):
    """An asynchronous client in ``async with``: the traced client is entered, and its end is noted."""

    __slots__ = ()
    _mqtrace: Any

    async def __aenter__(self) -> Any:
        await super().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        try:
            return await super().__aexit__(*exception)
        finally:
            self._mqtrace.closed()


class TracedStop(_TracedBlock):
    """The traced end of a client that has a ``stop``: ``closed`` of its state is called."""

    __slots__ = ()

    async def stop(self) -> Any:
        """``stop`` of the client."""
        try:
            return await super().stop()
        finally:
            self._mqtrace.closed()


class TracedClose(_TracedBlock):
    """The traced end of a client that has a ``close``: ``closed`` of its state is called."""

    __slots__ = ()

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        try:
            return await super().close(*args, **kwargs)
        finally:
            self._mqtrace.closed()
