"""pika: channels of blocking and of asynchronous connections."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # pika ships no types
from pika.channel import Channel  # type: ignore[import-untyped]  # pika ships no types
from pika.spec import BasicProperties  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.clients.options import expect
from mqtrace.clients.proxy import wrapped
from mqtrace.messaging import register_part, registry_of
from mqtrace.tracer import SpanTracer

from .channel import TracedBlockingChannel, TracedChannel
from .instrumented import skip_ours
from .message import ADAPTER
from .state import ChannelState

__all__ = ["adapter_of", "wrap"]


#: The adapter of BasicProperties and its subclasses: a tuple with such a part is a message.
adapter_of = registry_of(BasicProperties, ADAPTER, register_part)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced channel of a channel, or the traced class of its class; None for anything else."""
    expect(options, (), "a pika channel has no options, leave them out")
    return wrapped(client, tracer, _traced, partial(ChannelState, tracer))


def _traced(kind: type) -> type[TracedChannel] | None:
    if issubclass(kind, BlockingChannel):
        return TracedBlockingChannel
    return TracedChannel if issubclass(kind, Channel) else None


skip_ours()
