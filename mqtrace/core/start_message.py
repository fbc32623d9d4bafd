"""The hot path: how spans of messages start.

Everything here runs once a message, in the user's thread, so it is flat on purpose: a call costs 50 ns, an attribute
dict with a lock more than half a span. What is not the common case leaves for :mod:`mqtrace.core.decide` at the first
line that can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, overload

from . import decide, identity
from .context import Context, Frame
from .current import innermost_frame, still_open
from .details import OuterLink
from .forks import unforked
from .message_spans import SENT, ProcessSpan, SendSpan
from .noop import NoopSpan
from .template import Template

__all__ = ["start_process", "start_process_from", "start_process_in", "start_send", "start_unsampled"]

# A tracestate that is nothing but a send time: from 2001 to 2286 the time, ms since the epoch, has thirteen digits, so
# such a state lies between these two.
_EARLIEST: Final = f"{SENT}1{'0' * 12}"
_LATEST: Final = f"{SENT}{'9' * 13}"
_SENT_LENGTH: Final = len(_LATEST)

_current = innermost_frame
_new = object.__new__
_pop_child = identity.pop_child
_unforked = unforked
_is_canonical = identity.is_canonical
child_of = identity.child_of

S = TypeVar("S", bound=SendSpan)
P = TypeVar("P", bound=ProcessSpan)


@overload
def start_send(template: Template) -> SendSpan | bytes | NoopSpan | None: ...
@overload
def start_send(template: Template, make: type[S]) -> S | bytes | NoopSpan | None: ...
def start_send(template: Template, make: type[SendSpan] = SendSpan) -> SendSpan | bytes | NoopSpan | None:
    """Start the span of a message that is about to be sent, below what is current.

    Where the trace is not sampled its context still goes into the message: the traceparent, or a no-op span where there
    is more to the context than that. None where there is nothing to put into it. ``make``: its class; the caller fills
    a subclass's extra slots.
    """
    parent = _current()
    if not template.follows_parent_only or (parent is not None and parent.ended):
        parent = still_open(parent)
        if template.propagate_only and parent is None:
            return None
        return decide.start_send(template, parent, make)
    if parent is None or (above := parent.identity) is None:
        roots = template.roots
        if roots is None or parent is not None:
            return decide.start_send(template, parent, make)
        try:
            own = roots.pop() if _unforked[0] else roots.refill()
        except IndexError:
            own = roots.refill()
        if not own[54] & 1:
            return own
        span = make()
        span.parent = None
        span.parent_remote = False
        span.state = template.root_state
        span.baggage = None
    else:
        flags = above[54]
        try:
            own = above[:36] + _pop_child[flags]() if _unforked[0] else child_of(above)
        except LookupError:
            own = child_of(above)
        if not flags & 1:
            if parent.decision != "flag":  # it left the decision open
                return decide.start_send(template, parent, make)
            if parent.state is None and parent.baggage is None:
                return own
            return NoopSpan(own, parent.state, parent.baggage)
        span = make()
        span.parent = above
        span.parent_remote = parent.remote
        span.state = parent.state
        span.baggage = parent.baggage
    span.identity = own
    span.template = template
    span.ended = 0
    span.details = None
    span.partition = span.offset = -1
    span.begun_ns = template.now()
    return span


def start_process(
    template: Template,
    origin: bytes | None,
    state: str | None,
    baggage: Mapping[str, str] | None,
    partition: int,
    offset: int,
    timestamp: int | str,
    make: type[P] = ProcessSpan,  # type: ignore[assignment]  # the default stands for P left open
) -> P | NoopSpan:
    """Start the span of the handler of one message, below the message's context (``origin``, ``state``, ``baggage``).

    It is not current yet: the caller makes it so. ``make``: its class; the caller fills a subclass's extra slots.
    """
    outer = _current()
    if origin is not None and template.follows_parent_only and (outer is None or not outer.ended):
        flags = origin[54]
        try:
            own = origin[:36] + _pop_child[flags]() if _unforked[0] else child_of(origin)
        except LookupError:
            own = child_of(origin)
        if not flags & 1:
            return NoopSpan(own, state, baggage)
        span = make()
        span.parent = span.origin = origin
        span.identity = own
        span.template = template
        span.parent_remote = True
        span.state = state
        span.baggage = baggage
        span.ended = 0
        span.details = None if outer is None else _linked_to(outer)
        span.token = None
        span.partition = partition
        span.offset = offset
        span.timestamp = timestamp
        span.begun_ns = template.now()
        return span
    if template.propagate_only and outer is None and origin is not None:
        return NoopSpan(origin, state, baggage)
    return start_process_in(template, Context(origin, state, baggage), partition, offset, timestamp, make)


def start_unsampled(origin: bytes, state: str | None, baggage: Mapping[str, str] | None) -> NoopSpan:
    """The span of the handler of a message that is not sampled: an id of its own below the message's context.

    What :func:`start_process` does there, for a client that has looked at the flags and whether anything is current.
    """
    span = _new(NoopSpan)
    try:
        span.identity = origin[:36] + _pop_child[origin[54]]() if _unforked[0] else child_of(origin)
    except LookupError:
        span.identity = child_of(origin)
    span.state = state
    span.baggage = baggage
    span.token = None
    return span


def _linked_to(outer: Frame) -> OuterLink | None:
    """The details of a process span inside another span, which it links to."""
    identity = outer.identity
    return None if identity is None else OuterLink(identity, outer)


def start_process_from(template: Template, headers: Mapping[Any, Any], make: type[P]) -> P | NoopSpan | None:
    """The same below the context in W3C headers, as nearly every message has it: a traceparent and a send time.

    None where a propagator has to read them: a traceparent that is not as we write it, baggage, another tracestate.
    """
    if "baggage" in headers:
        return None
    text = headers.get("traceparent")
    if type(text) is not str:
        if text is None and "traceparent" not in headers:  # no context
            return start_process(template, None, None, None, -1, -1, -1, make)
        return None
    origin = text.encode("utf-8", "replace")
    if not _is_canonical(origin):
        return None
    sent: int | str = -1
    state = headers.get("tracestate")
    if type(state) is str:
        # nothing but a send time; whether it is a good one is seen when it is read
        if not (_EARLIEST <= state <= _LATEST and len(state) == _SENT_LENGTH) or "," in state:
            return None
        sent = state
    elif state is not None or "tracestate" in headers:
        return None
    return start_process(template, origin, None, None, -1, -1, sent, make)


def start_process_in(
    template: Template,
    context: Context,
    partition: int,
    offset: int,
    timestamp: int | str,
    make: type[P] = ProcessSpan,  # type: ignore[assignment]  # as above
) -> P | NoopSpan:
    """The same for every other case: no context, a decision that was left open, another span around, a relation."""
    span = decide.start_process_below(template, still_open(_current()), context, make)
    if isinstance(span, ProcessSpan):
        span.origin = context.identity
        span.partition = partition
        span.offset = offset
        span.timestamp = timestamp
    return span
