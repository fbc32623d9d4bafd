"""What an AMQP channel does beside calling handlers: receive spans, settle spans, and the outcomes of messages.

Receive and settle spans are made only if the tracer was configured to (opt_in.py). No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mqtrace.core import Attribute, BatchSpan, NoopSpan, Span, current_frame, start

from . import opt_in
from .amqp import DeliverySpan, destination, read_context
from .attributes import BATCH_COUNT, DELIVERY_TAG
from .brokers import RABBITMQ
from .operation import Endpoint, Operation

__all__ = ["note_outcome", "receive", "start_settle", "start_settle_of"]


def receive(operation: Operation, endpoint: Endpoint, begun_ns: int, names: tuple[str, str, str], headers: Any) -> None:
    """Make the receive span of a message that was fetched, linked to it, if such spans are wanted.

    ``begun_ns``: a reading of the tracer's clock. ``names``: the message's exchange, routing key and queue.
    """
    if not opt_in.wants_receive(operation.tracer):
        return
    try:
        origin = read_context(operation, headers)[0].identity
        origins = [] if origin is None else [(origin, -1, -1, None)]
        opt_in.receive(operation, RABBITMQ, destination(*names), endpoint, begun_ns, origins)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        operation.tracer.complain("a receive span could not be made")


def start_settle(
    operation: Operation,
    system: str,
    verb: str,
    spans: Sequence[Span | NoopSpan],
    name: str | None,
    endpoint: Endpoint,
    attributes: Mapping[str, Attribute],
) -> Span | NoopSpan:
    """Start the span of an acknowledgement: the child of its message's process span, ended or not.

    If it is of several messages, or of one without a process span, it is the child of what is current. It links to
    every message's context.
    """
    key = (verb, name)
    template = operation.templates.get(key)
    if template is None:
        template = operation.make(key, system, "settle", name, endpoint, verb=verb)
    parent = spans[0] if len(spans) == 1 and spans[0].identity is not None else current_frame()
    span = start(template, parent, BatchSpan)
    if isinstance(span, BatchSpan):
        origins = [one.origin if isinstance(one, DeliverySpan) else one.identity for one in spans]
        span.origins = [(origin, -1, -1, None) for origin in origins if origin is not None]
        if attributes:
            span.set_attributes(attributes)
    return span


def start_settle_of(
    operation: Operation,
    endpoint: Endpoint,
    verb: str,
    spans: Sequence[Span | NoopSpan],
    tag: Any,
    multiple: bool,
    count: int = 0,
) -> Span | NoopSpan:
    """The same for RabbitMQ's calls. ``multiple``: the call settles the messages before ``tag`` too.

    ``count``: how many messages that are known to be, with a process span or without. If none is known, the span has no
    count.
    """
    names = {one.template.destination for one in spans if isinstance(one, Span)}
    name = names.pop() if len(names) == 1 else None
    attributes = {DELIVERY_TAG: tag}
    if multiple:
        count = max(count, len(spans))
        attributes = {BATCH_COUNT: count} if count else {}
    return start_settle(operation, RABBITMQ, verb, spans, name, endpoint, attributes)


def note_outcome(spans: Iterable[Span | NoopSpan], outcome: str) -> None:
    """Note the outcome of messages on their process spans, if those have not ended."""
    for span in spans:
        if type(span) is DeliverySpan and not span.ended:
            span.outcome = outcome
