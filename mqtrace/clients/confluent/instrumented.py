"""OpenTelemetry's instrumentation of confluent-kafka: it goes on, but makes no spans of clients that mqtrace traces.

It replaces ``Producer`` and ``Consumer`` by its own classes, and wraps objects in proxies. Both make their spans in
three functions, which are looked up at each call: ``wrap_produce``, ``wrap_poll`` and ``wrap_consume``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from mqtrace.clients.instrumented import is_theirs, traced_by_us, warn_if_theirs

__all__ = ["by_keyword", "original", "skip_ours"]

_FUNCTIONS: Final = ("wrap_produce", "wrap_poll", "wrap_consume")


def original(client: Any) -> Any:
    """The client within a proxy of theirs; any other client as it is."""
    while is_theirs(type(client)):
        get = getattr(client, "original_producer", None) or getattr(client, "original_consumer", None)
        if get is None:
            break
        warn_if_theirs("confluent_kafka", (type(client),))
        client = get()
    return client


def by_keyword(produce: Callable[..., Any]) -> Callable[..., Any]:
    """Their ``produce``, called with keywords: it reads and replaces only headers that are passed by name."""

    def call(
        client: Any, topic: Any, value: Any, key: Any, partition: Any, report: Any, _: Any, timestamp: Any, headers: Any
    ) -> Any:
        arguments = {"key": (key, None), "partition": (partition, -1), "on_delivery": (report, None)}
        arguments.update(timestamp=(timestamp, 0), headers=(headers, None))
        named = {name: argument for name, (argument, default) in arguments.items() if argument != default}
        return produce(client, topic, value=value, **named)

    return call


def skip_ours(module: ModuleType) -> None:
    """Make it skip the clients that mqtrace traces, in whichever order the two wrap them."""
    instrumentor: Any = module.__dict__["ConfluentKafkaInstrumentor"]
    for name in _FUNCTIONS:
        theirs = getattr(instrumentor, name, None)
        if theirs is not None:
            setattr(instrumentor, name, staticmethod(_skipping_ours(theirs)))


def _skipping_ours(theirs: Callable[..., Any]) -> Callable[..., Any]:
    def call(func: Callable[..., Any], instance: Any, tracer: Any, args: Any, kwargs: Any) -> Any:
        if traced_by_us(original(instance)):
            warn_if_theirs("confluent_kafka", (theirs,))
            return func(*args, **kwargs)
        return theirs(func, instance, tracer, args, kwargs)

    return call
