"""pika: channels of blocking and of asynchronous connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # pika ships no types
from pika.channel import Channel  # type: ignore[import-untyped]  # pika ships no types
from pika.spec import BasicProperties  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.brokers import endpoint_in_parts
from mqtrace.clients.proxy import Proxy
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import Facts, MessageAdapter, register_part
from mqtrace.tracer import SpanTracer

from .channel import TracedBlockingChannel, TracedChannel
from .message import ADAPTER

__all__ = ["adapter_of", "wrap"]


def adapter_of(kind: type) -> MessageAdapter | None:
    """The adapter of BasicProperties and its subclasses: the part of a message that makes it one."""
    if issubclass(kind, BasicProperties):
        register_part(kind, ADAPTER)
        return ADAPTER
    return None


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced channel of a channel, or the traced class of its class; None for anything else."""
    if options:
        raise ConfigurationError(
            f"wrap() does not know {sorted(options)}: a pika channel has no options, leave them out"
        )
    if isinstance(client, type):
        return _wrap_class(client, tracer)
    if isinstance(client, BlockingChannel):
        return TracedBlockingChannel(client, tracer, _facts(client))
    if isinstance(client, Channel):
        return TracedChannel(client, tracer, _facts(client))
    return None


def _facts(channel: Any) -> Facts:
    """The broker's address, from the parameters of the channel's connection."""
    connection = getattr(channel, "connection", None)
    # A BlockingConnection keeps what it wraps to itself, and its parameters are shown nowhere else. Without them the
    # address is left out.
    parameters = getattr(connection, "params", None) or getattr(getattr(connection, "_impl", None), "params", None)
    said = [getattr(parameters, name, None) for name in ("host", "port", "virtual_host")]
    address, port = endpoint_in_parts(*said)
    return Facts(address=address, port=port)


_classes: dict[type, type] = {}


def _wrap_class(client: type, tracer: SpanTracer | None) -> type | None:
    if issubclass(client, Proxy):
        return client
    if issubclass(client, BlockingChannel):
        base: type[TracedChannel] = TracedBlockingChannel
    elif issubclass(client, Channel):
        base = TracedChannel
    else:
        return None
    if tracer is None and client in _classes:
        return _classes[client]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raw = client(*args, **kwargs)
        base.__init__(self, raw, tracer, _facts(raw))

    made = type(client.__name__, (base,), {"__init__": __init__, "__doc__": client.__doc__, "_mqtrace_wraps": client})
    made.__qualname__ = client.__qualname__
    if tracer is None:
        _classes[client] = made
    return made
