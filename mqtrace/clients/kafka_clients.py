"""What the clients of Kafka in plain Python share: how they are wrapped, how they send, and what they subscribe to.

No client library is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from mqtrace.core import Kind, NoopSpan, SendSpan, Template, start_send
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, kafka
from mqtrace.messaging.pending import Pending
from mqtrace.tracer import SpanTracer

from .proxy import State, Traced, stand_in, traced_kind

__all__ = ["Client", "SendsToKafka", "Subscribing", "wrap_one_of"]

S = TypeVar("S", bound=SendSpan)

#: A class of a client, what is traced of it, and what makes the state of one object.
Client = tuple[type, type[Traced], Callable[[], State]]


def wrap_one_of(clients: Iterable[Client], client: Any, *, shared: bool) -> Any:
    """The traced client, or the traced class of its class, by the first of ``clients`` that it is; None if it is none.

    ``shared``: whether every call returns the same class.
    """
    kind = client if isinstance(client, type) else type(client)
    for base, traced, make in clients:
        if issubclass(kind, base):
            if kind is client:
                return traced_kind(kind, base, traced, make, shared=shared)
            state = make()
            state.configure((), {})
            state.opened(client)
            return stand_in(traced, client, state)
    return None


class SendsToKafka(State):
    """The state of a traced producer. ``pending``: its spans that wait for their report."""

    __slots__ = ("endpoint", "operation", "pending")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.operation = Operation("send", tracer)
        self.pending = Pending(self.operation)

    def begin(self, topic: Any, value: Any, make: type[S]) -> S | NoopSpan | bytes | None:
        """Start the span of a message, as ``start_send`` does. ``value``: None makes a tombstone of it."""
        template = self.operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = self.template(topic if type(topic) is str else None, topic)
        return start_send(template if value is not None else kafka.tombstone(template), make)

    def template(self, key: Hashable, topic: Any, kind: Kind | None = None) -> Template:
        """The template of what is sent to a topic, made."""
        self.pending.attend()
        return self.operation.make(key, kafka.SYSTEM, "send", str(topic), self.endpoint, kind=kind)


class Subscribing(Traced):
    """What is traced of how a consumer is told what to read; its state has a ``reading``."""

    __slots__ = ()

    def subscribe(self, topics: Any = (), pattern: Any = None, listener: Any = None) -> Any:
        """``subscribe`` of the client. A pattern is one from the beginning of a topic's name."""
        result = super().subscribe(topics, pattern, listener)
        expression = getattr(pattern, "pattern", pattern)
        self._mqtrace.reading.reads(topics if expression is None else [f"^(?:{expression})"])
        return result

    def assign(self, partitions: Any) -> Any:
        """``assign`` of the client."""
        result = super().assign(partitions)
        self._mqtrace.reading.reads(one.topic for one in partitions)
        return result
