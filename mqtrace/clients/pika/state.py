"""The state of a traced channel: its operations, its deliveries, and the publisher confirms that it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.proxy import State, Traced
from mqtrace.core import NoopSpan, Span, Template
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, opt_in
from mqtrace.messaging.acknowledgements import note_outcome, receive, start_settle_of
from mqtrace.messaging.amqp import send_template
from mqtrace.messaging.brokers import server_in_parts
from mqtrace.tracer import SpanTracer

from .confirms import Confirms
from .consuming import TracedCallback
from .deliveries import Deliveries
from .instrumented import publish_of

__all__ = ["ChannelState", "endpoint_of"]


class ChannelState(State):
    """The state of one traced channel. ``publish`` and ``ack`` are the channel's own methods."""

    __slots__ = ("ack", "confirms", "deliveries", "endpoint", "operation", "process", "publish", "receive", "settle")

    publish: Callable[..., Any]
    ack: Callable[..., Any]

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self.operation = Operation("send", tracer)
        self.process = Operation("process", tracer)
        self.settle = Operation("settle", tracer)
        self.receive = Operation("receive", tracer)
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.deliveries = Deliveries(NOTHING_KNOWN)
        self.confirms: Confirms | None = None

    def opened(self, client: Any) -> None:
        """Read the endpoint and the methods of a channel: of a traced class, or made without us."""
        self.endpoint = endpoint_of(client)
        self.deliveries = Deliveries(self.endpoint)
        pikas: Any = super(Traced, client) if isinstance(client, Traced) else client
        self.publish = publish_of(pikas)
        self.ack = pikas.basic_ack

    def template(self, exchange: Any, routing_key: Any) -> Template:
        """Make the send template of an exchange and a routing key."""
        return send_template(self.operation, exchange, routing_key, self.endpoint)

    def callback(self, channel: Any, callback: Any, queue: Any, auto_ack: bool) -> Any:
        """A callback that runs in the process span of its message, with the traced channel as argument."""
        if not callable(callback):
            return callback  # the channel raises the error
        return TracedCallback(
            channel, self.deliveries, self.process, callback, queue if isinstance(queue, str) else "", auto_ack
        )

    def received(self, begun_ns: int, message: Any, queue: str) -> None:
        """Make the receive span of a basic_get that returned a message, if such spans are wanted."""
        method, properties, _ = message
        names = (method.exchange, method.routing_key, queue)
        receive(self.receive, self.endpoint, begun_ns, names, properties.headers)

    def wants_settle(self) -> bool:
        """Whether an acknowledgement has a span of its own."""
        return opt_in.wants_settle(self.settle.tracer)

    def note_outcome(self, outcome: str, tag: Any, multiple: bool) -> None:
        """Note the outcome of the messages that were settled on their process spans, if those are open."""
        note_outcome(self._take(tag, multiple), outcome)

    def _take(self, tag: Any, multiple: bool) -> list[Span | NoopSpan]:
        try:
            return self.deliveries.take(tag, multiple)
        except Exception:  # noqa: BLE001  # tracing must not cost the acknowledgement, whatever went wrong
            self.settle.tracer.complain("an acknowledgement could not be noted")
            return []

    def settle_in_span(
        self, verb: str, outcome: str, tag: Any, multiple: bool, call: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Settle messages in a settle span, and note their outcome."""
        count = self.deliveries.count(tag) if multiple and isinstance(tag, int) else 0
        spans = self._take(tag, multiple)
        with start_settle_of(self.settle, self.endpoint, verb, spans, tag, multiple, count):
            result = call(*arguments)
        note_outcome(spans, outcome)
        return result


def endpoint_of(channel: Any) -> Endpoint:
    """The broker's address, from the parameters of the channel's connection."""
    connection = getattr(channel, "connection", None)
    # Only the private connection of a BlockingConnection has its parameters. Without them there is no address.
    parameters = getattr(connection, "params", None) or getattr(getattr(connection, "_impl", None), "params", None)
    address, port = server_in_parts(*[getattr(parameters, name, None) for name in ("host", "port", "virtual_host")])
    return Endpoint(address=address, port=port)
