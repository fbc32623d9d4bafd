"""What is ours of a traced channel: its operations, what it delivered, and the publisher confirms that it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.proxy import State, Traced
from mqtrace.core import NoopSpan, Origin, Span, Template
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation
from mqtrace.messaging.amqp import (
    DeliverySpan,
    destination,
    read_context,
    send_template,
    start_settle,
)
from mqtrace.messaging.attributes import BATCH_COUNT, DELIVERY_TAG
from mqtrace.messaging.brokers import RABBITMQ, server_in_parts
from mqtrace.messaging.opt_in import receive, wants_receive, wants_settle
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
        """The channel is there: of a traced class, or one that somebody else made."""
        self.endpoint = endpoint_of(client)
        self.deliveries = Deliveries(self.endpoint)
        own: Any = super(Traced, client) if isinstance(client, Traced) else client
        self.publish = publish_of(own)
        self.ack = own.basic_ack

    def template(self, exchange: Any, routing_key: Any) -> Template:
        """The template of an exchange and a routing key, made."""
        return send_template(self.operation, exchange, routing_key, self.endpoint)

    def traced(self, channel: Any, callback: Any, queue: Any, auto_ack: bool) -> Any:
        """A callback that runs in the process span of its message, and is given the traced channel."""
        if not callable(callback):
            return callback  # the channel will refuse it in its own words
        return TracedCallback(
            channel, self.deliveries, self.process, callback, queue if isinstance(queue, str) else "", auto_ack
        )

    def received(self, begun: int, message: Any, queue: str) -> None:
        """The receive span of a basic_get that gave a message: CLIENT, linked to it."""
        operation = self.receive
        if not wants_receive(operation.tracer):
            return
        try:
            method, properties, _ = message
            name = destination(method.exchange, method.routing_key, queue)
            origin = read_context(operation, properties.headers)[0].identity
            origins: list[Origin] = [] if origin is None else [(origin, -1, -1, None)]
            receive(operation, RABBITMQ, name, self.endpoint, begun, origins)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a receive span could not be made")

    def settles(self) -> bool:
        """Whether settling has spans of its own."""
        return wants_settle(self.settle.tracer)

    def note(self, outcome: str, tag: Any, multiple: bool) -> None:
        """Say on the process spans that are still open what became of their messages."""
        for span in self._take(tag, multiple):
            if type(span) is DeliverySpan and not span.ended:
                span.outcome = outcome

    def _take(self, tag: Any, multiple: bool) -> list[Span | NoopSpan]:
        try:
            return self.deliveries.settle(tag, multiple)
        except Exception:  # noqa: BLE001  # tracing must not cost the acknowledgement, whatever went wrong
            self.settle.tracer.complain("an acknowledgement could not be noted")
            return []

    def settled(
        self, verb: str, outcome: str, tag: Any, multiple: bool, call: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Settle in a span of its own."""
        spans = self._take(tag, multiple)
        names = {one.template.destination for one in spans if isinstance(one, Span)}
        name = names.pop() if len(names) == 1 else None
        attributes = {BATCH_COUNT: len(spans)} if multiple else {DELIVERY_TAG: tag}
        with start_settle(self.settle, RABBITMQ, verb, spans, name, self.endpoint, attributes):
            result = call(*arguments)
        for span in spans:
            if type(span) is DeliverySpan and not span.ended:
                span.outcome = outcome
        return result


def endpoint_of(channel: Any) -> Endpoint:
    """The broker's address, from the parameters of the channel's connection."""
    connection = getattr(channel, "connection", None)
    # A BlockingConnection keeps what it wraps to itself, and its parameters are shown nowhere else. Without them the
    # address is left out.
    parameters = getattr(connection, "params", None) or getattr(getattr(connection, "_impl", None), "params", None)
    said = [getattr(parameters, name, None) for name in ("host", "port", "virtual_host")]
    address, port = server_in_parts(*said)
    return Endpoint(address=address, port=port)
