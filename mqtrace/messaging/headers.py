"""The context of a send span in a message's headers, which may hold a user's context, or that of an earlier hop."""

from __future__ import annotations

from mqtrace.carriers import Carrier
from mqtrace.core import Context, NoopSpan, Span, current_frame, open_frames
from mqtrace.tracer import SpanTracer

from . import send_time

__all__ = ["carry"]


def carry(tracer: SpanTracer, span: Span | NoopSpan, carrier: Carrier, sent_ms: int | None = None) -> bool:
    """Put the context of a send span into a message's headers, unless the user put a valid one there.

    The user's context is kept as it is; the span links to it and becomes a CLIENT span (conventions, "Context
    propagation"). A malformed one is replaced, and so is one of ours: that is a received message relayed with its
    headers, and this hop is the child of what is current. Ours differs from a user's by its send time or, if the broker
    keeps the time, by being the context of a message that is handled here. If nothing is current, the message stays in
    the trace that it came with, with the send time of this hop.

    ``carrier``: over a copy of the user's headers. ``sent_ms``: when the message is sent, ms since the epoch, written
    if a tracestate is; None: its broker keeps the time. Returns whether anything was written.
    """
    propagator = tracer.propagator
    theirs = propagator.extract(carrier, Context(), None)
    passed_on, sent_before = send_time.take(theirs.state)
    relayed = theirs.identity is not None and (sent_before != send_time.UNKNOWN or _is_handled_here(theirs.identity))
    if theirs.identity is not None and not (relayed and _is_within_a_trace()):
        if isinstance(span, Span):
            span.template = span.template.as_client()
            span.add_link(theirs)
        if relayed:
            _write_state(carrier, passed_on if sent_ms is None else send_time.stamp(passed_on, sent_ms))
        return relayed
    baggage = span.baggage
    if relayed:
        if isinstance(span, Span) and theirs.trace_id != span.trace_id:
            span.add_link(theirs)
        for field in propagator.fields:
            if field != "baggage":
                carrier.remove(field)
        baggage = {**(theirs.baggage or {}), **(baggage or {})} or None
    elif theirs.baggage is not None:
        # The user's own baggage header stays; ours is what the context adds to it.
        baggage = {**(baggage or {}), **theirs.baggage}
    propagator.inject(carrier, span if baggage is span.baggage else Context(span.identity, span.state, baggage))
    if sent_ms is not None and "tracestate" in propagator.fields:
        carrier.set("tracestate", send_time.stamp(span.state, sent_ms))
    return True


def _is_handled_here(identity: bytes) -> bool:
    """Whether this is the context of a message that is handled now. Of an unsampled one only the trace id is known."""
    for frame in open_frames():
        if getattr(frame, "origin", None) == identity:
            return True
        if isinstance(frame, NoopSpan) and not identity[54] & 1 and frame.identity is not None:
            return frame.identity[:35] == identity[:35]
    return False


def _is_within_a_trace() -> bool:
    frame = current_frame()
    return frame is not None and frame.identity is not None


def _write_state(carrier: Carrier, state: str | None) -> None:
    if state is None:
        carrier.remove("tracestate")
    else:
        carrier.set("tracestate", state)
