"""What an AMQP channel is asked and told beside its messages' handlers: receive spans, settle spans, outcomes.

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
    """The receive span of a message that was asked for: CLIENT, linked to it. None unless such spans are wanted.

    ``begun_ns``: the reading of the tracer's clock. ``names``: its exchange, routing key and queue.
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

    Of several messages, or of one that nobody saw, the child of what is current. Linked to every message's context.
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
    operation: Operation, endpoint: Endpoint, verb: str, spans: Sequence[Span | NoopSpan], tag: Any, multiple: bool
) -> Span | NoopSpan:
    """The same on RabbitMQ, by what the call says: a delivery tag, and whether it settles those before it too."""
    names = {one.template.destination for one in spans if isinstance(one, Span)}
    name = names.pop() if len(names) == 1 else None
    attributes = {BATCH_COUNT: len(spans)} if multiple else {DELIVERY_TAG: tag}
    return start_settle(operation, RABBITMQ, verb, spans, name, endpoint, attributes)


def note_outcome(spans: Iterable[Span | NoopSpan], outcome: str) -> None:
    """Say on process spans that have not ended what became of their messages."""
    for span in spans:
        if type(span) is DeliverySpan and not span.ended:
            span.outcome = outcome
