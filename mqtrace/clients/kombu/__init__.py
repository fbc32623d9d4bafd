"""kombu: Producer, Consumer and SimpleQueue, on whatever transport."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kombu.message import Message
from kombu.messaging import Consumer, Producer
from kombu.simple import SimpleBase

from mqtrace.clients.options import expect
from mqtrace.clients.proxy import Traced, stand_in, wrapped
from mqtrace.messaging import registry_of
from mqtrace.tracer import SpanTracer

from .consumer import Receiving, Standing, TracedConsumer, TwinnedConsumer
from .message import ADAPTER
from .producer import Sending, TracedProducer, TracedSimpleQueue

__all__ = ["adapter_of", "wrap"]


#: The adapter of kombu.Message and its subclasses, of which each transport has its own.
adapter_of = registry_of(Message, ADAPTER)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a Producer, Consumer or SimpleQueue, or the traced class; None for anything else."""
    expect(options, (), "a kombu client has no options, leave them out")
    kind = client if isinstance(client, type) else type(client)
    if not issubclass(kind, Consumer):
        return wrapped(client, tracer, _sending, partial(Sending, tracer))
    if kind is client:
        return wrapped(kind, tracer, _consuming, partial(Receiving, tracer))
    twin = wrapped(kind, None, _consuming, partial(Receiving, None))
    return stand_in(TwinnedConsumer, client, Standing(client, tracer, twin))


def _consuming(_: type) -> type[Traced]:
    return TracedConsumer


def _sending(kind: type) -> type[Traced] | None:
    if issubclass(kind, Producer):
        return TracedProducer
    return TracedSimpleQueue if issubclass(kind, SimpleBase) else None
