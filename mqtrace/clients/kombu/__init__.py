"""kombu: Producer, Consumer and SimpleQueue, on whatever transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.message import Message
from kombu.messaging import Consumer, Producer
from kombu.simple import SimpleBase

from mqtrace.clients.proxy import Traced, is_traced, stand_in, traced_class
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import MessageAdapter, register
from mqtrace.tracer import SpanTracer

from .consumer import Receiving, Standing, TracedConsumer, TwinnedConsumer
from .message import ADAPTER
from .producer import Sending, TracedProducer, TracedSimpleQueue

__all__ = ["adapter_of", "know", "wrap"]


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
    kind = type(client)
    traced = _traced(kind)
    if traced is None:
        return None
    if traced is TracedConsumer:
        return stand_in(TwinnedConsumer, client, Standing(client, tracer, _wrap_class(kind, None)))
    return stand_in(traced, client, Sending(tracer))


def _traced(kind: type) -> type[Traced] | None:
    if issubclass(kind, Producer):
        return TracedProducer
    if issubclass(kind, Consumer):
        return TracedConsumer
    return TracedSimpleQueue if issubclass(kind, SimpleBase) else None


_classes: dict[type, type] = {}


def know(client: type, traced: type) -> None:
    """Say which traced class of a client's class there is already."""
    _classes[client] = traced


def _wrap_class(client: type, tracer: SpanTracer | None) -> Any:
    if is_traced(client):
        return client
    traced = _traced(client)
    if traced is None:
        return None
    if tracer is None and client in _classes:
        return _classes[client]
    state = Receiving if traced is TracedConsumer else Sending
    made = traced_class(client, traced, lambda: state(tracer))
    if tracer is None:
        _classes[client] = made
    return made
