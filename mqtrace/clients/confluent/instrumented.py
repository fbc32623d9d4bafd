"""OpenTelemetry's instrumentation of confluent-kafka, as far as it wraps what mqtrace traces.

It replaces ``Producer`` and ``Consumer`` by classes of its own, and puts proxies over objects. All of them make their
spans in three functions, which are looked up at each call: ``wrap_produce``, ``wrap_poll`` and ``wrap_consume``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from mqtrace.clients.instrumented import is_theirs, say, traced_by_us

__all__ = ["by_name", "leave_ours", "original"]

_FUNCTIONS: Final = ("wrap_produce", "wrap_poll", "wrap_consume")


def original(client: Any) -> Any:
    """The client that a proxy of theirs was made of; any other as it is."""
    while is_theirs(type(client)):
        get = getattr(client, "original_producer", None) or getattr(client, "original_consumer", None)
        if get is None:
            break
        say("confluent_kafka", (type(client),))
        client = get()
    return client


def by_name(produce: Callable[..., Any]) -> Callable[..., Any]:
    """A ``produce`` of theirs, called as an application calls it: it looks for headers where those are named."""

    def call(
        client: Any, topic: Any, value: Any, key: Any, partition: Any, report: Any, _: Any, timestamp: Any, headers: Any
    ) -> Any:
        given = {"key": (key, None), "partition": (partition, -1), "on_delivery": (report, None)}
        given.update(timestamp=(timestamp, 0), headers=(headers, None))
        named = {name: said for name, (said, usual) in given.items() if said != usual}
        return produce(client, topic, value=value, **named)

    return call


def leave_ours(module: ModuleType) -> None:
    """Have it make no spans of clients that mqtrace traces, whichever was there first."""
    instrumentor: Any = module.__dict__["ConfluentKafkaInstrumentor"]
    for name in _FUNCTIONS:
        theirs = getattr(instrumentor, name, None)
        if theirs is not None:
            setattr(instrumentor, name, staticmethod(_leaving(theirs)))


def _leaving(theirs: Callable[..., Any]) -> Callable[..., Any]:
    def call(func: Callable[..., Any], instance: Any, tracer: Any, args: Any, kwargs: Any) -> Any:
        if traced_by_us(original(instance)):
            say("confluent_kafka", (theirs,))
            return func(*args, **kwargs)
        return theirs(func, instance, tracer, args, kwargs)

    return call
