"""confluent_kafka.aio: AIOConsumer. Its process spans know its group; its producer, and the way to both: aio.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import ref

from mqtrace.clients.awaiting import AsyncReads, Closed
from mqtrace.clients.proxy import is_traced
from mqtrace.messaging import Endpoint, Operation, kafka

from .configuration import configuration_of, from_configuration
from .message import context_of

__all__ = ["Reads", "TracedAIOConsumer", "endpoint_of"]


def endpoint_of(args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Endpoint:
    """What a client says of itself that is constructed with these; ``options``: what the user told ``wrap``."""
    named = next((kwargs[name] for name in ("producer_conf", "consumer_conf", "conf") if name in kwargs), None)
    told_options = {name.replace("_", "."): value for name, value in options.items()}
    return from_configuration({**configuration_of(args, {"conf": named}), **told_options})


def batch_members(operation: Operation, records: Iterable[Any]) -> Sequence[kafka.BatchMember]:
    """What a receive span says of these messages."""
    return [
        (context_of(operation, one).identity, one.topic(), one.value() is None, one.partition(), one.offset())
        for one in records
        if one is not None and one.error() is None
    ]


class Reads(AsyncReads):
    """What is ours of a traced consumer."""

    __slots__ = ()
    members = staticmethod(batch_members)

    def endpoint_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Endpoint:
        """See docs/confluent-aio.md."""
        return endpoint_of(args, kwargs, self.options)

    def opened(self, client: Any) -> None:
        """Leave receive and settle spans to the Consumer within, where ``mqtrace run`` has put a traced one there."""
        self.reading.opts_in = not is_traced(type(client._consumer))  # noqa: SLF001  # the client says it nowhere else


class TracedAIOConsumer(Closed):
    """See docs/confluent-aio.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Reads

    async def poll(self, *args: Any, **kwargs: Any) -> Any:
        """``poll`` of the client."""
        return await self._mqtrace.reading.watch(super().poll(*args, **kwargs))

    async def consume(self, *args: Any, **kwargs: Any) -> Any:
        """``consume`` of the client."""
        return await self._mqtrace.reading.watch(super().consume(*args, **kwargs), list)

    async def commit(self, *args: Any, **kwargs: Any) -> Any:
        """``commit`` of the client."""
        return await self._mqtrace.reading.commit(super().commit(*args, **kwargs))

    async def subscribe(self, topics: Any, *args: Any, **kwargs: Any) -> Any:
        """``subscribe`` of the client; its callbacks are given this consumer, as they would be given the client."""
        if self._mqtrace.raw is not None:
            kwargs = {name: _handing(ref(self), given) if callable(given) else given for name, given in kwargs.items()}
        result = await super().subscribe(topics, *args, **kwargs)
        self._mqtrace.reading.reads(topics)
        return result

    async def assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """``assign`` of the client. In a callback of ``subscribe`` the subscription stays what it was."""
        result = await super().assign(partitions, *args, **kwargs)
        self._mqtrace.reading.reads_also(one.topic for one in partitions)
        return result

    async def incremental_assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """``incremental_assign`` of the client."""
        result = await super().incremental_assign(partitions, *args, **kwargs)
        self._mqtrace.reading.reads_also(one.topic for one in partitions)
        return result


def _handing(consumer: Callable[[], Any], callback: Callable[..., Any]) -> Callable[..., Any]:
    async def hand(raw: Any, *args: Any) -> Any:
        return await callback(consumer() or raw, *args)

    return hand
