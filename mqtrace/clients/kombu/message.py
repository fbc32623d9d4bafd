"""kombu's messages: the start of their process span, and what became of them.

A kombu.Message knows its channel and settles itself, but not its queue: the wrapped Consumer or SimpleQueue that it
came through says that. What became of it, it keeps in ``_state``, which its public ``acknowledged`` is derived from;
that is read when the span ends. What that does not tell, the channel does; see channels.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from kombu.message import Message

from mqtrace.core import NoopSpan, current_frame
from mqtrace.messaging import Batch, Operation, register
from mqtrace.messaging.amqp import BatchMessage, DeliverySpan, destination, read_batch, start_delivery, template_of
from mqtrace.messaging.brokers import RABBITMQ
from mqtrace.messaging.operation import shared_operation
from mqtrace.messaging.opt_in import wants_settle

from .broker import Broker
from .channels import Channel, channel_of

__all__ = ["ADAPTER", "KombuSpan", "begin_delivery", "handled", "note_source"]

_OUTCOMES: Final = {"ACK": "ack", "REJECTED": "reject", "REQUEUED": "requeue"}

#: Messages that a wrapped Consumer is handing to its callbacks right now, by id.
handled: Final[dict[int, Any]] = {}
# Messages that a wrapped SimpleQueue gave: the queue, and whether nobody acknowledges them.
_sources: WeakKeyDictionary[Any, tuple[str, bool]] = WeakKeyDictionary()


class KombuSpan(DeliverySpan):
    """The span of a handler at work on one message of kombu."""

    __slots__ = ("delivery",)

    #: Until the span ends, which then says what became of it: the message and its channel.
    delivery: tuple[Any, Channel] | None

    def end(self, end_time: int | None = None) -> None:
        """End the span, with the outcome."""
        if self.delivery is not None:
            message, channel = self.delivery
            self.delivery = None
            if self.outcome is None:
                outcome = _OUTCOMES.get(getattr(message, "_state", ""))
                self.outcome = "requeue" if outcome == "reject" and channel.was_requeued(message) else outcome
            if channel.at_work:
                channel.leave(message)
        super().end(end_time)


def note_source(message: Any, queue: str, no_ack: bool) -> None:
    """Say which queue gave a message to the application."""
    try:
        _sources[message] = (queue, no_ack)
    except TypeError:  # a class of somebody's own that takes no weak reference
        pass


def begin_delivery(operation: Operation, message: Any, queue: str, no_ack: bool, wrapped: bool) -> KombuSpan | NoopSpan:
    """Start the process span of a message from this queue (empty: not known). It is not current yet.

    ``wrapped``: whether it came through a client that ``unwrap`` can be called on.
    """
    said = message.delivery_info or {}
    exchange, routing_key = _name(said.get("exchange")), _name(said.get("routing_key"))
    channel = channel_of(message)
    broker = channel.broker
    key = (exchange, routing_key, queue, broker.key)
    template = operation.templates.get(key)
    if template is None:
        template = template_of(operation, "process", key, key[:3], broker.endpoint, broker.system)
    span = start_delivery(operation, template, KombuSpan, message.headers)
    if type(span) is KombuSpan:
        span.delivery_tag = message.delivery_tag if broker.system == RABBITMQ else None
        span.redelivered = said.get("redelivered")
        properties = message.properties or {}
        span.message_id = properties.get("message_id")
        span.conversation = properties.get("correlation_id")
        if span.message_id is not None or span.conversation is not None:
            span.weigh_ids()
        if no_ack:
            span.outcome = "auto"
            span.delivery = None
        else:
            span.delivery = (message, channel)
            if wrapped and not channel.stays:
                channel.stay()
            if operation.tracer.settings.settle_spans:
                settle = shared_operation(operation.tracer, "settle") if wants_settle(operation.tracer) else None
                channel.begin(message, span, settle)
            elif not wrapped:
                channel.begin(message, span, None)
    return span


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


class KombuMessages:
    """The :class:`~mqtrace.messaging.MessageAdapter` of kombu.Message."""

    def begin(self, operation: Operation, message: Any) -> KombuSpan | NoopSpan | None:
        """Start the process span of a message; None for one that a wrapped Consumer is handing out already."""
        if id(message) in handled and current_frame() is not None:
            return None
        queue, no_ack = _source(message)
        return begin_delivery(operation, message, queue, no_ack, queue != "")

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        told: list[BatchMessage] = []
        broker: Broker | None = None
        for message in messages:
            if not isinstance(message, Message):
                continue
            broker = broker or channel_of(message).broker
            said = message.delivery_info or {}
            name = destination(_name(said.get("exchange")), _name(said.get("routing_key")), _source(message)[0])
            tag = message.delivery_tag if broker.system == RABBITMQ else None
            properties = message.properties or {}
            told.append((message.headers, name, tag, properties.get("message_id"), properties.get("correlation_id")))
        return None if broker is None else read_batch(operation, broker.system, told, broker.endpoint)


def _source(message: Any) -> tuple[str, bool]:
    try:
        found = _sources.get(message)
    except TypeError:
        found = None
    if found is not None:
        return found
    # kombu's own rule for a message without acknowledgement, Message.ack
    without = getattr(message.channel, "no_ack_consumers", None)
    tag = (message.delivery_info or {}).get("consumer_tag")
    return "", tag in without if without else False


ADAPTER: Final = KombuMessages()
register(Message, ADAPTER)
