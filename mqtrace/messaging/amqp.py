"""What the clients of AMQP 0-9-1 share: names of destinations, the context in a header table, the span of a delivery.

- A message is published to an exchange with a routing key; only its consumer knows the queue. So a destination has two
  names (OpenTelemetry semantic conventions 1.44, messaging, RabbitMQ): ``{exchange}:{routing key}`` where it is sent,
  ``{exchange}:{routing key}:{queue}`` where it is read.
- A broker keeps no time per message, so the send time travels with the context (mqtrace.messaging.send_time).
- RabbitMQ says in the headers ``x-death`` and ``x-delivery-count`` what a message has been through.
- A header table holds any type at any depth, and anybody may have written it: nothing in it may raise.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

from mqtrace.carriers import AmqpTable
from mqtrace.core import (
    EMPTY,
    SHORT_TEXTS,
    Attribute,
    Context,
    NoopSpan,
    Origin,
    ProcessSpan,
    SendSpan,
    Template,
    note_skew,
    start_process,
    start_process_from,
    start_process_in,
)

from . import send_time
from .attributes import (
    CONVERSATION,
    DEATH_QUEUE,
    DEATH_REASON,
    DEATHS,
    DELIVERY_COUNT,
    DELIVERY_TAG,
    DESTINATION,
    MESSAGE_ID,
    OUTCOME,
    REDELIVERED,
    ROUTING_KEY,
)
from .batch import Batch
from .brokers import RABBITMQ
from .headers import carry
from .operation import Endpoint, Operation, OperationType, as_text

__all__ = [
    "BatchMember",
    "BatchMessage",
    "DeliverySpan",
    "batch_of",
    "destination",
    "named",
    "read_batch",
    "read_context",
    "send_template",
    "start_below",
    "start_delivery",
    "start_delivery_of",
    "template_of",
    "with_context",
]


def destination(exchange: str, routing_key: str, queue: str | None = None) -> str:
    """``{exchange}:{routing key}:{queue}``, without what is empty, and without a queue that the routing key names."""
    parts = [exchange, routing_key, "" if queue == routing_key else queue or ""]
    return ":".join([part for part in parts if part]) or "amq.default"


def send_template(operation: Operation, exchange: Any, routing_key: Any, endpoint: Endpoint) -> Template:
    """The send template of an exchange and a routing key on RabbitMQ, made; kept where both are text."""
    key = (exchange, routing_key) if isinstance(exchange, str) and isinstance(routing_key, str) else None
    return template_of(operation, "send", key, (as_text(exchange), as_text(routing_key), None), endpoint)


def template_of(
    operation: Operation,
    type: OperationType,
    key: Hashable,
    names: tuple[str, str, str | None],
    endpoint: Endpoint,
    system: str = RABBITMQ,
) -> Template:
    """Make the template of an exchange, a routing key and, of a delivery, a queue (empty: not known)."""
    routing_key = names[1]
    extra = {ROUTING_KEY: routing_key} if routing_key and system == RABBITMQ else None
    return operation.make(key, system, type, destination(*names), endpoint, extra)


# ---------------------------------------------------------------------- the context in the headers


def with_context(operation: Operation, span: SendSpan | NoopSpan | bytes | None, headers: Any) -> Any:
    """The user's headers with the context of a send span in them: a copy, or the object itself if nothing is added.

    ``headers``: a mapping or None. Anything else is left to the client, which will refuse it.
    """
    if span is None:
        return headers
    if operation.w3c_only and (
        not headers
        or (
            type(headers) is dict
            and "traceparent" not in headers
            and "tracestate" not in headers
            and "baggage" not in headers
        )
    ):
        if isinstance(span, SendSpan):
            if span.baggage is None:
                sent = (span.begun_ns + span.template.pipeline.clock.offset) // 1_000_000
                copy = headers.copy() if headers else {}
                copy["traceparent"] = span.identity.decode()
                copy["tracestate"] = f"mqtrace=t:{sent}" if span.state is None else send_time.stamp(span.state, sent)
                return copy
        elif type(span) is bytes:
            copy = headers.copy() if headers else {}
            copy["traceparent"] = span.decode()
            return copy
    tracer = operation.tracer
    try:
        carrier = AmqpTable(None if headers is None else dict(headers))  # None stays, where nothing is written
        frame = NoopSpan(span) if isinstance(span, bytes) else span
        sent_ms = _now(frame) if isinstance(frame, SendSpan) else None
        return carrier.native if carry(tracer, frame, carrier, sent_ms) else headers
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        tracer.complain("headers that cannot be read are sent as they are")
        return headers


def _now(span: SendSpan) -> int:
    """The start of a send span, ms since the epoch."""
    return (span.begun_ns + span.template.pipeline.clock.offset) // 1_000_000


def read_context(operation: Operation, headers: Any) -> tuple[Context, int]:
    """The context in a header table, and when the message was sent (ms since the epoch; -1: not known)."""
    if not headers:
        return EMPTY, send_time.UNKNOWN
    try:
        tracer = operation.tracer
        context = tracer.propagator.extract(AmqpTable(headers), EMPTY, tracer.malformed)
        state, sent = send_time.take(context.state)
        return (context if state == context.state else context.replace(state=state)), sent
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        operation.tracer.complain("the headers of a message could not be read")
        return EMPTY, send_time.UNKNOWN


# ---------------------------------------------------------------------- the span of a delivery


class DeliverySpan(ProcessSpan):
    """The span of a handler at work on one message of a queue."""

    __slots__ = ("conversation", "delivery_tag", "message_id", "outcome", "redelivered")

    #: As the client has them: a number, a boolean and texts, if the sender and the system have them. A caller that
    #: sets one of the two texts calls :meth:`weigh_ids`.
    delivery_tag: Any
    redelivered: Any
    message_id: Any
    conversation: Any
    #: ack, nack, reject, requeue or auto; None if it is not known.
    outcome: str | None

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """The delivery, the message's ids and what became of it."""
        longest = self.template.pipeline.limits.value_length
        attributes = named(self.delivery_tag, self.message_id, self.conversation, longest)
        if self.redelivered is True:
            attributes[REDELIVERED] = True
        if self.outcome is not None:
            attributes[OUTCOME] = self.outcome
        return attributes

    def weigh_ids(self) -> None:
        """Weigh the texts that were set, if they are long. A value that is not text, as of Redis, is removed."""
        one, other = self.message_id, self.conversation
        if (
            (one is None or type(one) is str)
            and (other is None or type(other) is str)
            and len(one or "") + len(other or "") <= SHORT_TEXTS
        ):
            return  # nearly always, so it is quick
        length = 0
        for slot in ("message_id", "conversation"):
            value = getattr(self, slot)
            if isinstance(value, (str, bytes)):
                length += len(value)
            else:
                setattr(self, slot, None)
        if length > SHORT_TEXTS:
            self.weigh(self.message_id, self.conversation)


def named(delivery_tag: Any, message_id: Any, conversation: Any, length: int | None = None) -> dict[str, Attribute]:
    """The attributes that identify a message, from its client's values; texts no longer than ``length``."""
    attributes: dict[str, Attribute] = {}
    if isinstance(delivery_tag, int):
        attributes[DELIVERY_TAG] = int(delivery_tag)
    if message_id is not None and (text := _text(message_id)):
        attributes[MESSAGE_ID] = text[:length]
    if conversation is not None and (text := _text(conversation)):
        attributes[CONVERSATION] = text[:length]
    return attributes


#: A message of a batch: its identity, its destination, and its attributes.
BatchMember = tuple[bytes | None, str, dict[str, Attribute]]


def batch_of(system: str, members: list[BatchMember], endpoint: Endpoint) -> Batch:
    """A batch of these members; each link has its destination if there are several."""
    names = {name for _, name, _ in members}
    single = names.pop() if len(names) == 1 else None
    origins: list[Origin] = []
    for identity, name, attributes in members:
        if identity is not None:
            attributes = {DESTINATION: name, **attributes} if single is None and name else attributes
            origins.append((identity, -1, -1, attributes or None))
    return Batch(system, single or None, len(members), origins, endpoint, {})


#: A message of a batch as its client has it: headers, destination, delivery tag, message id and conversation.
BatchMessage = tuple[Any, str, Any, Any, Any]


def read_batch(operation: Operation, system: str, messages: Iterable[BatchMessage], endpoint: Endpoint) -> Batch | None:
    """Read the contexts of a batch; None if it has no messages."""
    members: list[BatchMember] = []
    for headers, name, tag, message_id, conversation in messages:
        context, _ = read_context(operation, headers)
        members.append((context.identity, name, named(tag, message_id, conversation)))
    return batch_of(system, members, endpoint) if members else None


P = TypeVar("P", bound=ProcessSpan)
D = TypeVar("D", bound=DeliverySpan)


def start_delivery(operation: Operation, template: Template, make: type[D], headers: Any) -> D | NoopSpan:
    """Start the process span of a message with these headers. The caller fills the other slots and makes it current."""
    span = start_below(operation, template, make, headers)
    if isinstance(span, DeliverySpan):
        span.outcome = None
        if headers and ("x-death" in headers or "x-delivery-count" in headers):
            span.set_attributes(history(headers))
    return span


def start_delivery_of(
    operation: Operation, template: Template, method: Any, properties: Any
) -> DeliverySpan | NoopSpan:
    """The same by what the protocol calls the parts of a message, which are read only for a span that is recorded.

    ``method``: its ``delivery_tag``, and whether it is ``redelivered``. ``properties``: its ``headers``, ``message_id``
    and ``correlation_id``. It runs once a message, so it does by itself what :func:`start_delivery` does.
    """
    headers = properties.headers
    span = start_below(operation, template, DeliverySpan, headers)
    if type(span) is DeliverySpan:
        span.outcome = None
        span.delivery_tag = method.delivery_tag
        span.redelivered = method.redelivered
        span.message_id = properties.message_id
        span.conversation = properties.correlation_id
        if span.message_id is not None or span.conversation is not None:
            span.weigh_ids()
        if headers and ("x-death" in headers or "x-delivery-count" in headers):
            span.set_attributes(history(headers))
    return span


def start_below(operation: Operation, template: Template, make: type[P], headers: Any) -> P | NoopSpan:
    """Start a process span of class ``make`` below the context in a header table, with its send time.

    A message that was sent later than it was read is counted.
    """
    if not headers:
        return start_process(template, None, None, None, -1, -1, send_time.UNKNOWN, make)
    if operation.w3c_only and type(headers) is dict:
        span = start_process_from(template, headers, make)
        if span is not None:
            return span
    context, sent = read_context(operation, headers)
    return note_skew(start_process_in(template, context, -1, -1, sent, make), sent)


def history(headers: Any) -> dict[str, Attribute]:
    """The history of a message, in attributes. Of several deaths the last one counts, which stands first.

    ``x-death``: a list of tables, one for each queue and reason, with a count
    (https://www.rabbitmq.com/docs/dlx#effects). ``x-delivery-count``: how often a quorum queue has delivered the
    message before without an acknowledgement.
    """
    attributes: dict[str, Attribute] = {}
    count = headers.get("x-delivery-count")
    if isinstance(count, int) and not isinstance(count, bool):  # pika has an int of its own
        attributes[DELIVERY_COUNT] = int(count)
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping):
        last = deaths[0]
        times = last.get("count")
        if isinstance(times, int) and not isinstance(times, bool):
            attributes[DEATHS] = int(times)
        for key, name in ((DEATH_REASON, "reason"), (DEATH_QUEUE, "queue")):
            text = _text(last.get(name))
            if text is not None:
                attributes[key] = text
    return attributes


def _text(value: object) -> str | None:
    """A property or header as text: clients return str, or bytes if it is not UTF-8."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") or None
    return None
