"""kombu: Producer, Consumer and SimpleQueue, on any transport."""

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

from .consumer import ConsumerState, TracedConsumer, TwinnedConsumer, TwinState
from .message import ADAPTER
from .producer import ProducerState, TracedProducer, TracedSimpleQueue

__all__ = ["adapter_of", "wrap"]


#: The adapter of kombu.Message and its subclasses: each transport has one.
adapter_of = registry_of(Message, ADAPTER)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a Producer, Consumer or SimpleQueue, or the traced class; None for anything else."""
    expect(options, (), "a kombu client has no options, leave them out")
    kind = client if isinstance(client, type) else type(client)
    if not issubclass(kind, Consumer):
        return wrapped(client, tracer, _traced_sender, partial(ProducerState, tracer))
    if kind is client:
        return wrapped(kind, tracer, _traced_consumer, partial(ConsumerState, tracer))
    twin = wrapped(kind, None, _traced_consumer, partial(ConsumerState, None))
    return stand_in(TwinnedConsumer, client, TwinState(client, tracer, twin))


def _traced_consumer(_: type) -> type[Traced]:
    return TracedConsumer


def _traced_sender(kind: type) -> type[Traced] | None:
    if issubclass(kind, Producer):
        return TracedProducer
    return TracedSimpleQueue if issubclass(kind, SimpleBase) else None
