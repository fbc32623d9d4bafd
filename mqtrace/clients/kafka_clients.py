"""What the clients of Kafka share: how they are wrapped, how they send, what they subscribe to, and how they end.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from mqtrace.core import Kind, NoopSpan, SendSpan, Template, start_send
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, kafka
from mqtrace.messaging.pending import Pending
from mqtrace.tracer import SpanTracer

from .proxy import State, Traced, stand_in, traced_kind

__all__ = ["Client", "KafkaProducerState", "TracedClose", "TracedCloseBlock", "TracedSubscriptions", "wrap_one_of"]

S = TypeVar("S", bound=SendSpan)

#: A client's class, its traced methods, and what makes the state of one object.
Client = tuple[type, type[Traced], Callable[[], State]]


def wrap_one_of(clients: Iterable[Client], client: Any, *, shared: bool) -> Any:
    """The traced client, or the traced class of a client's class; None if it is not one of ``clients``.

    ``shared``: whether every call returns the same class.
    """
    kind = client if isinstance(client, type) else type(client)
    for base, traced, make_state in clients:
        if issubclass(kind, base):
            if kind is client:
                return traced_kind(kind, base, traced, make_state, shared=shared)
            state = make_state()
            state.configure((), {})
            state.opened(client)
            return stand_in(traced, client, state)
    return None


class KafkaProducerState(State):
    """The state of a traced producer. ``pending``: its spans that wait for their report."""

    __slots__ = ("endpoint", "operation", "pending")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.operation = Operation("send", tracer)
        self.pending = Pending(self.operation)

    def start(self, topic: Any, value: Any, span_class: type[S]) -> S | NoopSpan | bytes | None:
        """Start the span of a message, as ``start_send`` does. The message is a tombstone if ``value`` is None."""
        template = self.operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = self.template(topic if type(topic) is str else None, topic)
        return start_send(template if value is not None else kafka.tombstone(template), span_class)

    def template(self, key: Hashable, topic: Any, kind: Kind | None = None) -> Template:
        """Make the template of what is sent to a topic, and keep it under ``key``."""
        self.pending.attend()
        return self.operation.make(key, kafka.SYSTEM, "send", topic, self.endpoint, kind=kind)


class TracedSubscriptions(Traced):
    """The traced methods that tell a consumer what to read. Its state has a ``reading``."""

    __slots__ = ()

    def subscribe(self, topics: Any = (), pattern: Any = None, listener: Any = None) -> Any:
        """``subscribe`` of the client, which matches a pattern at the beginning of a topic's name."""
        result = super().subscribe(topics, pattern, listener)
        expression = getattr(pattern, "pattern", pattern)
        self._mqtrace.reading.set_topics(topics if expression is None else [f"^(?:{expression})"])
        return result

    def assign(self, partitions: Any) -> Any:
        """``assign`` of the client."""
        result = super().assign(partitions)
        self._mqtrace.reading.set_topics(partition.topic for partition in partitions)
        return result


class TracedClose(Traced):
    """The traced end of a client: ``closed`` of its state is called."""

    __slots__ = ()

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        try:
            return super().close(*args, **kwargs)
        finally:
            self._mqtrace.closed()


class TracedCloseBlock(TracedClose):
    """The same of a client that closes at the end of a ``with`` block, which enters the traced client."""

    __slots__ = ()

    def __enter__(self) -> Any:
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        try:
            return super().__exit__(*exception)
        finally:
            self._mqtrace.closed()
