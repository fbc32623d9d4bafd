"""confluent_kafka.aio: AIOConsumer, whose process spans have its group. Its producer, and ``wrap`` of both: aio.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

from mqtrace.clients.async_kafka_clients import AsyncConsumerState, TracedClose
from mqtrace.clients.proxy import is_traced
from mqtrace.messaging import Endpoint

from .configuration import configuration_of, from_configuration
from .message import batch_members

__all__ = ["AIOConsumerState", "TracedAIOConsumer", "endpoint_of"]


def endpoint_of(args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Endpoint:
    """The endpoint of a client that is constructed with these arguments. ``options``: those of ``wrap``."""
    named = next((kwargs[name] for name in ("producer_conf", "consumer_conf", "conf") if name in kwargs), None)
    return from_configuration(configuration_of(args, {"conf": named}, options))


class AIOConsumerState(AsyncConsumerState):
    """The state of a traced consumer."""

    __slots__ = ()
    endpoint_of = staticmethod(endpoint_of)
    members_of = staticmethod(batch_members)

    def opened(self, client: Any) -> None:
        """Leave receive and settle spans to the Consumer within, if ``mqtrace run`` has put a traced one there."""
        self.reading.opts_in = not is_traced(type(client._consumer))  # noqa: SLF001  # the client says it nowhere else


class TracedAIOConsumer(TracedClose):
    """See docs/confluent-aio.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: AIOConsumerState

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
        """``subscribe`` of the client. Its callbacks are passed this consumer instead of the client."""
        if self._mqtrace.raw is not None:
            kwargs = {name: _passing(ref(self), value) if callable(value) else value for name, value in kwargs.items()}
        result = await super().subscribe(topics, *args, **kwargs)
        self._mqtrace.reading.set_topics(topics)
        return result

    async def assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """``assign`` of the client. In a callback of ``subscribe`` the subscription stays what it was."""
        result = await super().assign(partitions, *args, **kwargs)
        self._mqtrace.reading.add_topics(partition.topic for partition in partitions)
        return result

    async def incremental_assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """``incremental_assign`` of the client."""
        result = await super().incremental_assign(partitions, *args, **kwargs)
        self._mqtrace.reading.add_topics(partition.topic for partition in partitions)
        return result


def _passing(consumer_ref: Callable[[], Any], callback: Callable[..., Any]) -> Callable[..., Any]:
    """A callback of ``subscribe`` that passes on the traced consumer, which it does not keep alive."""

    async def call(raw: Any, *args: Any) -> Any:
        return await callback(consumer_ref() or raw, *args)

    return call
