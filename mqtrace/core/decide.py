"""Whether a span is made, and which parent it has: every case. The hot path inlines the common ones (start_message.py).

The order is the design's: the sampler is asked for roots only; a parent's flag is followed, unless the sampler wants to
be asked for remote parents too; nothing is built before the answer is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from . import identity
from .attributes import Attribute
from .context import EMPTY, Context, Decision, Frame
from .details import NO_ATTRIBUTES, Details
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
    make: type[S],
    attributes: Mapping[str, Attribute] | None = None,
) -> S | NoopSpan:
    """Start a span of class ``make`` below ``parent``: a root where that is None or holds no trace."""
    decision: Decision = "flag"
    if parent is None:
        above, state, baggage, remote = None, None, None, False
    else:
        above, state, baggage, decision = parent.identity, parent.state, parent.baggage, parent.decision
        remote = parent.remote and above is not None
    if template.propagate_only:
        return NOOP if parent is None else NoopSpan(above, state, baggage)
    own: bytes
    charged = False
    if above is None:
        if decision != "flag":
            own = identity.fresh()
            sampled = decision == "accept"
        else:
            if template.roots is not None:
                own = template.roots.take()
                sampled = bool(own[54] & 1)
            else:
                own = identity.fresh()
                sampled = template.sampling.root(template, own, attributes or template.attributes)
            charged = True
            state = template.root_state if sampled else None
    else:
        own = identity.child_of(above)
        undecided = decision == "defer"
        asked = None
        if undecided or (remote and decision == "flag" and not template.sampling.follows):
            known = attributes or template.attributes
            asked = template.sampling.remote(template, above, state, known, undecided=undecided)
        if asked is not None:
            sampled, state = asked
            charged = True
        else:
            sampled = decision == "accept" or (decision == "flag" and bool(above[54] & 1))
    own = _with_flag(own, sampled)
    if not sampled:
        return NoopSpan(own, state, baggage)
    if not charged and template.pipeline.spend is not None:
        template.pipeline.spend()
    span = make()
    span.template = template
    span.identity = own
    span.parent = above
    span.parent_remote = remote
    span.state = state
    span.baggage = baggage
    span.ended = 0
    span.details = Details(template.weight) if template.weight else None
    span.token = None
    span.begun_ns = template.now()
    return span


def start_send(template: Template, parent: Frame | None, make: type[M]) -> M | NoopSpan | None:
    """The slow half of :func:`mqtrace.core.start_message.start_send`."""
    started = start(template, parent, make)
    if isinstance(started, NoopSpan):
        return None if started.identity is None and started.baggage is None else started
    started.partition = started.offset = -1
    return started


def start_process_below(
    template: Template,
    outer: Frame | None,
    message: Context,
    make: type[S],
    attributes: Mapping[str, Attribute] | None = None,
) -> S | NoopSpan:
    """Start the span of a handler, below the message's context, or linked to it where ``relation`` says so.

    Inside another span (``outer``) the message's context is the parent all the same, and the other is linked.
    """
    if template.relation == "link" and not template.propagate_only:
        # a trace of its own; the baggage is the request's and goes on
        return start(template, Context(None, None, message.baggage), make, attributes)
    if message.identity is None and message.decision == "flag":
        parent: Frame | None = outer
        if message.baggage is not None:
            parent = (EMPTY if outer is None else Context.of(outer)).replace(baggage=message.baggage)
        elif outer is None and message.state is None:
            parent = None
        return start(template, parent, make, attributes)
    started = start(template, message, make, attributes)
    if isinstance(started, Span) and outer is not None and outer.identity is not None:
        details = started.details = started.details if isinstance(started.details, Details) else Details()
        details.add_link(outer, NO_ATTRIBUTES)
    return started


def _with_flag(own: bytes, sampled: bool) -> bytes:
    """The identity with bit 0 of its flags as decided; bit 1 stays (Trace Context level 2, section 3.2.2.5)."""
    flags = own[54] & 2 | sampled
    return own[:53] + b"0%d" % flags
