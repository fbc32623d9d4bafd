"""Whether a span is made, and which parent it has: every case. The hot path inlines the common ones (start_message.py).

The sampler decides roots. A child follows its parent's flag, unless the sampler decides children of remote parents too.
Nothing is built before the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from .attributes import Attribute
from .context import EMPTY, Context, Decision, Frame
from .details import NO_ATTRIBUTES, Details
from .identity import child_of, fresh
from .message_spans import SendSpan
from .noop import NOOP, NoopSpan
from .span import Span
from .template import Template

__all__ = ["start", "start_process_below", "start_send"]

S = TypeVar("S", bound=Span)
M = TypeVar("M", bound=SendSpan)


def start(
    template: Template,
    parent: Frame | None,
    span_class: type[S],
    attributes: Mapping[str, Attribute] | None = None,
) -> S | NoopSpan:
    """Start a span of ``span_class`` below ``parent``: a root if that is None or has no trace."""
    decision: Decision = "flag"
    if parent is None:
        parent_identity, state, baggage, remote = None, None, None, False
    else:
        parent_identity, state, baggage, decision = parent.identity, parent.state, parent.baggage, parent.decision
        remote = parent.remote and parent_identity is not None
    if template.propagate_only:
        return NOOP if parent is None else NoopSpan(parent_identity, state, baggage)
    identity: bytes
    by_sampler = False
    if parent_identity is None:
        if decision != "flag":
            identity = fresh()
            sampled = decision == "accept"
        else:
            if template.roots is not None:
                identity = template.roots.take()
                sampled = bool(identity[54] & 1)
            else:
                identity = fresh()
                sampled = template.sampling.root(template, identity, attributes or template.attributes)
            by_sampler = True
            state = template.root_state if sampled else None
    else:
        identity = child_of(parent_identity)
        undecided = decision == "defer"
        answer = None
        if undecided or (remote and decision == "flag" and not template.sampling.follows):
            answer = template.sampling.remote(
                template, parent_identity, state, attributes or template.attributes, undecided=undecided
            )
        if answer is not None:
            sampled, state = answer
            by_sampler = True
        else:
            sampled = decision == "accept" or (decision == "flag" and bool(parent_identity[54] & 1))
    identity = _with_flag(identity, sampled)
    if not sampled:
        return NoopSpan(identity, state, baggage)
    if not by_sampler and template.pipeline.spend is not None:
        template.pipeline.spend()
    span = span_class()
    span.template = template
    span.identity = identity
    span.parent = parent_identity
    span.parent_remote = remote
    span.state = state
    span.baggage = baggage
    span.ended = 0
    span.details = Details(template.weight) if template.weight else None
    span.token = None
    span.begun_ns = template.now()
    return span


def start_send(template: Template, parent: Frame | None, span_class: type[M]) -> M | NoopSpan | None:
    """The slow half of :func:`mqtrace.core.start_message.start_send`."""
    span = start(template, parent, span_class)
    if isinstance(span, NoopSpan):
        return None if span.identity is None and span.baggage is None else span
    span.partition = span.offset = -1
    return span


def start_process_below(
    template: Template,
    outer: Frame | None,
    message: Context,
    span_class: type[S],
    attributes: Mapping[str, Attribute] | None = None,
) -> S | NoopSpan:
    """Start the span of a handler: a child of the message's context, or linked to it if ``relation`` is ``link``.

    Inside another span (``outer``) the parent is the message's context too, and the other span is linked.
    """
    if template.relation == "link" and not template.propagate_only:
        # a new trace, and the request's baggage
        return start(template, Context(None, None, message.baggage), span_class, attributes)
    if message.identity is None and message.decision == "flag":
        parent: Frame | None = outer
        if message.baggage is not None:
            parent = (EMPTY if outer is None else Context.of(outer)).replace(baggage=message.baggage)
        elif outer is None and message.state is None:
            parent = None
        return start(template, parent, span_class, attributes)
    span = start(template, message, span_class, attributes)
    if isinstance(span, Span) and outer is not None and outer.identity is not None:
        details = span.details = span.details if isinstance(span.details, Details) else Details()
        details.add_link(outer, NO_ATTRIBUTES)
    return span


def _with_flag(identity: bytes, sampled: bool) -> bytes:
    """The identity with bit 0 of its flags as decided; bit 1 stays (Trace Context level 2, section 3.2.2.5)."""
    flags = identity[54] & 2 | sampled
    return identity[:53] + b"0%d" % flags
