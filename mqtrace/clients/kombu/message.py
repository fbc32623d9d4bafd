"""kombu's messages: the start of their process span, and their outcome.

A kombu.Message has its channel and settles itself, but it does not have its queue: that is noted by the traced Consumer
or SimpleQueue that reads it. Its outcome is in ``_state``, from which its public ``acknowledged`` is derived, and is
read when the span ends. Whether a rejected message was requeued only its channel shows; see channels.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from kombu.message import Message

from mqtrace.core import NoopSpan, Span, current_frame
from mqtrace.messaging import Batch, Operation, register
from mqtrace.messaging.amqp import BatchMessage, DeliverySpan, destination, read_batch, start_delivery, template_of
from mqtrace.messaging.brokers import RABBITMQ
from mqtrace.messaging.operation import shared_operation
from mqtrace.messaging.opt_in import wants_settle

from .broker import Broker
from .channels import TrackedChannel, tracked_channel

__all__ = ["ADAPTER", "KombuSpan", "begin_delivery", "in_callbacks", "note_source"]

_OUTCOMES: Final = {"ACK": "ack", "REJECTED": "reject", "REQUEUED": "requeue"}

#: The spans of messages that a traced Consumer is passing to its callbacks right now, by the message's id.
in_callbacks: Final[dict[int, Span | NoopSpan]] = {}
# By message that a traced SimpleQueue returned: its queue, and whether it needs no acknowledgement.
_sources: WeakKeyDictionary[Any, tuple[str, bool]] = WeakKeyDictionary()


class KombuSpan(DeliverySpan):
    """The span of a handler at work on one message of kombu."""

    __slots__ = ("delivery",)

    #: The message and its channel, from which the outcome is read when the span ends; None if that is known.
    delivery: tuple[Any, TrackedChannel] | None

    def end(self, end_time: int | None = None) -> None:
        """End the span, with the outcome of its message."""
        if self.delivery is not None:
            message, channel = self.delivery
            self.delivery = None
            if self.outcome is None:
                outcome = _OUTCOMES.get(getattr(message, "_state", ""))
                self.outcome = "requeue" if outcome == "reject" and channel.pop_requeued(message) else outcome
            if channel.in_process:
                channel.end(message)
        super().end(end_time)


def note_source(message: Any, queue: str, no_ack: bool) -> None:
    """Note the queue of a message that an application asked for."""
    try:
        _sources[message] = (queue, no_ack)
    except TypeError:  # a user's own class that takes no weak reference
        pass


def begin_delivery(operation: Operation, message: Any, queue: str, no_ack: bool, wrapped: bool) -> KombuSpan | NoopSpan:
    """Start the process span of a message from this queue (empty: not known). It is not current yet.

    ``wrapped``: whether a client read it that ``unwrap`` can be called on.
    """
    info = message.delivery_info or {}
    exchange, routing_key = _name(info.get("exchange")), _name(info.get("routing_key"))
    channel = tracked_channel(message)
    broker = channel.broker
    key = (exchange, routing_key, queue, broker.key)
    template = operation.templates.get(key)
    if template is None:
        template = template_of(operation, "process", key, key[:3], broker.endpoint, broker.system)
    span = start_delivery(operation, template, KombuSpan, message.headers)
    if type(span) is KombuSpan:
        span.delivery_tag = message.delivery_tag if broker.system == RABBITMQ else None
        span.redelivered = info.get("redelivered")
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
            if wrapped and not channel.keeps_reject:
                channel.keep_reject()
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
        """Start the process span of a message; None if a traced Consumer runs its callbacks already."""
        if id(message) in in_callbacks and current_frame() is not None:
            return None
        queue, no_ack = _source(message)
        return begin_delivery(operation, message, queue, no_ack, queue != "")

    def handled(self, message: Any) -> Span | NoopSpan | None:
        """The span of a message in the callbacks of a traced Consumer."""
        span = in_callbacks.get(id(message))
        return None if span is None or span.ended else span

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        batch: list[BatchMessage] = []
        broker: Broker | None = None
        for message in messages:
            if not isinstance(message, Message):
                continue
            broker = broker or tracked_channel(message).broker
            info = message.delivery_info or {}
            name = destination(_name(info.get("exchange")), _name(info.get("routing_key")), _source(message)[0])
            tag = message.delivery_tag if broker.system == RABBITMQ else None
            properties = message.properties or {}
            batch.append((message.headers, name, tag, properties.get("message_id"), properties.get("correlation_id")))
        return None if broker is None else read_batch(operation, broker.system, batch, broker.endpoint)


def _source(message: Any) -> tuple[str, bool]:
    """The queue of a message (empty: not known), and whether it needs no acknowledgement."""
    try:
        source = _sources.get(message)
    except TypeError:
        source = None
    if source is not None:
        return source
    # as kombu decides it, in Message.ack
    no_ack_tags = getattr(message.channel, "no_ack_consumers", None)
    tag = (message.delivery_info or {}).get("consumer_tag")
    return "", tag in no_ack_tags if no_ack_tags else False


ADAPTER: Final = KombuMessages()
register(Message, ADAPTER)
