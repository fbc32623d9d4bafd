"""The hot path: how spans of messages start.

Everything here runs once a message, in the user's thread, so it is flat on purpose: a call costs 50 ns, an attribute
dict with a lock more than half a span. :mod:`mqtrace.core.decide` takes over where a case is not the common one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, overload

from . import decide
from .context import Context, Frame
from .current import innermost_frame, still_open
from .details import OuterLink
from .forks import unforked
from .identity import child_of, is_canonical, pop_child
from .message_spans import SENT, ProcessSpan, SendSpan
from .noop import NoopSpan
from .template import Template

__all__ = ["start_process", "start_process_from", "start_process_in", "start_send", "start_unsampled"]

# A tracestate that holds only a send time lies between these two: from 2001 to 2286 the time, ms since the epoch, has
# thirteen digits.
_EARLIEST: Final = f"{SENT}1{'0' * 12}"
_LATEST: Final = f"{SENT}{'9' * 13}"
_SENT_LENGTH: Final = len(_LATEST)

_new = object.__new__

S = TypeVar("S", bound=SendSpan)
P = TypeVar("P", bound=ProcessSpan)


@overload
def start_send(template: Template) -> SendSpan | bytes | NoopSpan | None: ...
@overload
def start_send(template: Template, span_class: type[S]) -> S | bytes | NoopSpan | None: ...
def start_send(template: Template, span_class: type[SendSpan] = SendSpan) -> SendSpan | bytes | NoopSpan | None:
    """Start the span of a message that is about to be sent, below what is current.

    The context of a trace that is not sampled goes into the message too: this returns its traceparent, or a no-op span
    if the context has a state or baggage. None: there is no context. The caller fills extra slots of ``span_class``.
    """
    parent = innermost_frame()
    if not template.follows_parent_only or (parent is not None and parent.ended):
        parent = still_open(parent)
        if template.propagate_only and parent is None:
            return None
        return decide.start_send(template, parent, span_class)
    if parent is None or (parent_identity := parent.identity) is None:
        roots = template.roots
        if roots is None or parent is not None:
            return decide.start_send(template, parent, span_class)
        try:
            identity = roots.pop() if unforked[0] else roots.refill()
        except IndexError:
            identity = roots.refill()
        if not identity[54] & 1:
            return identity
        span = span_class()
        span.parent = None
        span.parent_remote = False
        span.state = template.root_state
        span.baggage = None
    else:
        flags = parent_identity[54]
        try:
            identity = parent_identity[:36] + pop_child[flags]() if unforked[0] else child_of(parent_identity)
        except LookupError:
            identity = child_of(parent_identity)
        if not flags & 1:
            if parent.decision != "flag":  # it has not decided
                return decide.start_send(template, parent, span_class)
            if parent.state is None and parent.baggage is None:
                return identity
            return NoopSpan(identity, parent.state, parent.baggage)
        span = span_class()
        span.parent = parent_identity
        span.parent_remote = parent.remote
        span.state = parent.state
        span.baggage = parent.baggage
    span.identity = identity
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
    span_class: type[P] = ProcessSpan,  # type: ignore[assignment]  # the default, if P is left open
) -> P | NoopSpan:
    """Start the span of the handler of one message, below the message's context (``origin``, ``state``, ``baggage``).

    The caller makes it current, and fills extra slots of ``span_class``.
    """
    outer = innermost_frame()
    if origin is not None and template.follows_parent_only and (outer is None or not outer.ended):
        flags = origin[54]
        try:
            identity = origin[:36] + pop_child[flags]() if unforked[0] else child_of(origin)
        except LookupError:
            identity = child_of(origin)
        if not flags & 1:
            return NoopSpan(identity, state, baggage)
        span = span_class()
        span.parent = span.origin = origin
        span.identity = identity
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
    return start_process_in(template, Context(origin, state, baggage), partition, offset, timestamp, span_class)


def start_unsampled(origin: bytes, state: str | None, baggage: Mapping[str, str] | None) -> NoopSpan:
    """The span of the handler of a message that is not sampled: a new span id in the message's trace.

    As :func:`start_process` has it, for a client that has seen the flags, and that no span is current.
    """
    span = _new(NoopSpan)
    try:
        span.identity = origin[:36] + pop_child[origin[54]]() if unforked[0] else child_of(origin)
    except LookupError:
        span.identity = child_of(origin)
    span.state = state
    span.baggage = baggage
    span.token = None
    return span


def _linked_to(outer: Frame) -> OuterLink | None:
    """The details of a process span inside another span: a link to that."""
    identity = outer.identity
    return None if identity is None else OuterLink(identity, outer)


def start_process_from(template: Template, headers: Mapping[Any, Any], span_class: type[P]) -> P | NoopSpan | None:
    """The same below the context in W3C headers, as nearly every message has it: a traceparent and a send time.

    None if a propagator has to read them: a traceparent that is not as we write it, baggage, another tracestate.
    """
    if "baggage" in headers:
        return None
    text = headers.get("traceparent")
    if type(text) is not str:
        if text is None and "traceparent" not in headers:  # no context
            return start_process(template, None, None, None, -1, -1, -1, span_class)
        return None
    origin = text.encode("utf-8", "replace")
    if not is_canonical(origin):
        return None
    timestamp: int | str = -1
    state = headers.get("tracestate")
    if type(state) is str:
        # only a send time; the worker reads it, and sees whether it is valid
        if not (_EARLIEST <= state <= _LATEST and len(state) == _SENT_LENGTH) or "," in state:
            return None
        timestamp = state
    elif state is not None or "tracestate" in headers:
        return None
    return start_process(template, origin, None, None, -1, -1, timestamp, span_class)


def start_process_in(
    template: Template,
    context: Context,
    partition: int,
    offset: int,
    timestamp: int | str,
    span_class: type[P] = ProcessSpan,  # type: ignore[assignment]  # as above
) -> P | NoopSpan:
    """The same in every other case: no context, no decision yet, another span around, a relation."""
    span = decide.start_process_below(template, still_open(innermost_frame()), context, span_class)
    if isinstance(span, ProcessSpan):
        span.origin = context.identity
        span.partition = partition
        span.offset = offset
        span.timestamp = timestamp
    return span
