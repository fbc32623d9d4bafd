"""What the asynchronous clients of Kafka share: the states of their producers and consumers, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mqtrace.messaging import Endpoint, Operation, kafka
from mqtrace.messaging.futures import abandon_soon
from mqtrace.messaging.reading import Reading
from mqtrace.tracer import SpanTracer

from .kafka_clients import SendsToKafka
from .proxy import State, Traced

__all__ = ["AsyncReads", "AsyncSends", "Closed", "Stopped"]


class _Configured(State):
    """``options``: what the user told ``wrap``."""

    __slots__ = ()
    options: Mapping[str, Any]

    def endpoint_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Endpoint:
        """What a client says of itself that is constructed with these; the options count for more."""
        raise NotImplementedError


class AsyncSends(SendsToKafka, _Configured):
    """The state of a traced producer."""

    __slots__ = ("options",)

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__(tracer)
        self.options = options

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.endpoint = self.endpoint_of(args, kwargs)

    def stopped(self) -> None:
        """A message that has no report by now was not delivered, as far as anyone knows."""
        abandon_soon(self.pending, "stopped before the delivery report")


class AsyncReads(_Configured):
    """The state of a traced consumer."""

    __slots__ = ("options", "reading")

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.options = options
        self.reading = Reading(tracer, self.members)

    @staticmethod
    def members(operation: Operation, records: Iterable[Any]) -> Sequence[kafka.BatchMember]:
        """What a receive span says of the records that the consumer returned."""
        raise NotImplementedError

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.reading.endpoint = self.endpoint_of(args, kwargs)

    def stopped(self) -> None:
        """Its topics are read no longer."""
        self.reading.closed()


class _Block(Traced):
    """An asynchronous client as a block: what it enters is the traced client, and its end is noted."""

    __slots__ = ()
    _mqtrace: Any

    async def __aenter__(self) -> Any:
        await super().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        try:
            return await super().__aexit__(*exception)
        finally:
            self._mqtrace.stopped()


class Stopped(_Block):
    """What is traced of the end of a client that has a ``stop``."""

    __slots__ = ()

    async def stop(self) -> Any:
        """``stop`` of the client."""
        try:
            return await super().stop()
        finally:
            self._mqtrace.stopped()


class Closed(_Block):
    """What is traced of the end of a client that has a ``close``."""

    __slots__ = ()

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        try:
            return await super().close(*args, **kwargs)
        finally:
            self._mqtrace.stopped()
