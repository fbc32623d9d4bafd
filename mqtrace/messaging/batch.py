"""A batch of messages in one span: what an adapter has read from them, and the span that links to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mqtrace.core import Attribute, BatchSpan, NoopSpan, Origin, Span, current_frame, start

from .attributes import BATCH_COUNT
from .operation import Endpoint, Operation

__all__ = ["Batch", "start_batch"]


class Batch(NamedTuple):
    """What an adapter has read from the messages of one batch."""

    system: str
    #: The destination of all of them; None if there are several.
    destination: str | None
    #: How many messages there are, with a context or without.
    size: int
    origins: Sequence[Origin]
    endpoint: Endpoint
    extra: Mapping[str, Attribute]


def start_batch(operation: Operation, batch: Batch) -> Span | NoopSpan:
    """The span of a batch, with a link to every message's context. It is not current yet."""
    key = ("batch", batch.system, batch.destination, batch.endpoint)
    template = operation.templates.get(key)
    if template is None:
        template = operation.make(key, batch.system, "process", batch.destination, batch.endpoint, batch.extra)
    span = start(template, current_frame(), BatchSpan)
    if isinstance(span, BatchSpan):
        span.link_to(batch.origins)
        span.set_attributes({BATCH_COUNT: batch.size})
    return span
