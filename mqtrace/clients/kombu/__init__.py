"""kombu: Producer, Consumer and SimpleQueue, on whatever transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.message import Message
from kombu.messaging import Consumer, Producer
from kombu.simple import SimpleBase

from mqtrace.clients.proxy import Proxy
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import MessageAdapter, register
from mqtrace.tracer import SpanTracer

from .consumer import TracedConsumer
from .message import ADAPTER
from .producer import TracedProducer, TracedSimpleQueue

__all__ = ["adapter_of", "wrap"]


def adapter_of(kind: type) -> MessageAdapter | None:
    """The adapter of kombu.Message and its subclasses, of which each transport has its own."""
    if issubclass(kind, Message):
        register(kind, ADAPTER)
        return ADAPTER
    return None


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a Producer, Consumer or SimpleQueue, or the traced class; None for anything else."""
    if options:
        raise ConfigurationError(
            f"wrap() does not know {sorted(options)}: a kombu client has no options, leave them out"
        )
    if isinstance(client, type):
        return _wrap_class(client, tracer)
    base = _base(type(client))
    return None if base is None else base(client, tracer)


def _base(kind: type) -> Any:
    if issubclass(kind, Producer):
        return TracedProducer
    if issubclass(kind, Consumer):
        return TracedConsumer
    return TracedSimpleQueue if issubclass(kind, SimpleBase) else None


_classes: dict[type, type] = {}


def _wrap_class(client: type, tracer: SpanTracer | None) -> type | None:
    if issubclass(client, Proxy):
        return client
    base = _base(client)
    if base is None:
        return None
    if tracer is None and client in _classes:
        return _classes[client]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, client(*args, **kwargs), tracer)

    made = type(client.__name__, (base,), {"__init__": __init__, "__doc__": client.__doc__, "_mqtrace_wraps": client})
    made.__qualname__ = client.__qualname__
    if tracer is None:
        _classes[client] = made
    return made
