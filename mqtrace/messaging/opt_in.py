"""Receive and settle spans, which a tracer makes only if it was configured to.

``receive_spans=True``: a span for every poll that returned something. ``settle_spans=True``: a span for every
acknowledgement or commit. Both are CLIENT spans (semantic conventions 1.44, messaging, "Span kind").
"""

from __future__ import annotations

from collections.abc import Sequence

from mqtrace.core import BatchSpan, NoopSpan, Origin, Span, current_frame, start
from mqtrace.tracer import SpanTracer

from .attributes import BATCH_COUNT
from .operation import Endpoint, Operation

__all__ = ["clock_ns", "receive", "start_settle", "wants_receive", "wants_settle"]


def wants_receive(tracer: SpanTracer) -> bool:
    """Whether a poll has a span of its own."""
    settings = tracer.settings
    return settings.receive_spans and not settings.disabled


def wants_settle(tracer: SpanTracer) -> bool:
    """Whether an acknowledgement or a commit has a span of its own."""
    settings = tracer.settings
    return settings.settle_spans and not settings.disabled


def clock_ns(operation: Operation) -> int:
    """The reading of the tracer's clock that a receive span begins with."""
    return operation.tracer.pipeline.clock.now()


def receive(
    operation: Operation,
    system: str,
    destination: str | None,
    endpoint: Endpoint,
    begun_ns: int,
    origins: Sequence[Origin],
    batch_size: int | None = None,
) -> None:
    """Make the receive span of a poll that returned messages, from ``begun_ns`` until now, linked to every message.

    ``destination``: that of all of them, None if there are several. ``batch_size``: how many, if the client returns
    several at once.
    """
    template = operation.templates.get(destination)
    if template is None:
        template = operation.make(destination, system, "receive", destination, endpoint)
    span = start(template, current_frame(), BatchSpan)
    if isinstance(span, BatchSpan):
        span.begun_ns = begun_ns
        span.link_to(origins)
        if batch_size is not None:
            span.set_attribute(BATCH_COUNT, batch_size)
        span.end()


def start_settle(
    operation: Operation, system: str, destination: str | None, endpoint: Endpoint, verb: str | None = None
) -> Span | NoopSpan:
    """Start the span of a commit, for ``with``: the child of what is current."""
    key = (verb, destination)
    template = operation.templates.get(key)
    if template is None:
        template = operation.make(key, system, "settle", destination, endpoint, verb=verb)
    return start(template, current_frame(), Span)
