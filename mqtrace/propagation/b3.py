"""B3 of openzipkin/b3-propagation: the single header ``b3`` and the several ``x-b3-*``. Both read both.

- ``b3: {32|16 hex}-{16 hex}[-{0|1|d}[-{parent, 16 hex}]]``, or the sampling state alone. It goes before ``x-b3-*``;
  a malformed one falls back to them.
- No sampling state means that the decision is left to the receiver; ``d`` (debug, ``x-b3-flags: 1``) implies sampled.
- Headers are written in lowercase and without the parent. If the transport's names are exact, Brave writes
  ``X-B3-TraceId``, which is read too.
"""

from __future__ import annotations

import re
from typing import Final

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Decision, Frame

from ._ids import is_sampled, present, traceparent
from ._protocol import MalformedContext

__all__ = ["B3Multi", "B3Single"]

_SINGLE: Final = re.compile(
    r"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?", re.IGNORECASE
).fullmatch
_MULTI: Final = ("X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags")
_HEX: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}", re.IGNORECASE).fullmatch
#: ``true`` and ``false`` are what old senders wrote.
_STATES: Final = {"0": False, "1": True, "d": True, "true": True, "false": False}


def _context(context: Context, trace_id: str, span_id: str, sampled: bool | None) -> Context:
    decision: Decision = "defer" if sampled is None else "flag"
    value = traceparent(trace_id.lower(), span_id.lower(), bool(sampled))
    return Context(value, None, context.baggage, decision)


def _decision_only(context: Context, sampled: bool) -> Context:
    return Context(None, None, context.baggage, "accept" if sampled else "deny")


def _extract_single(text: str, context: Context) -> Context:
    if text in ("0", "1", "d", "D"):
        return _decision_only(context, text != "0")
    match = _SINGLE(text)
    if not match:
        raise MalformedContext("b3 is malformed")
    trace_id, span_id, state = match.groups()
    return _context(context, trace_id, span_id, None if state is None else state != "0")


def _multi(carrier: Carrier, name: str) -> str | None:
    text = present(carrier, name.lower())
    return present(carrier, name) if text is None else text


def _extract_multi(carrier: Carrier, context: Context) -> Context:
    trace_id, span_id, _, state, flags = (_multi(carrier, name) for name in _MULTI)
    sampled = _STATES.get(state.lower()) if state is not None and len(state) <= 5 else None
    if state is not None and sampled is None:
        raise MalformedContext("x-b3-sampled is malformed")
    if flags == "1":
        sampled = True
    if trace_id is None and span_id is None:
        return context if sampled is None else _decision_only(context, sampled)
    if trace_id is None or span_id is None or not _HEX(trace_id) or not _HEX(span_id) or len(span_id) != 16:
        raise MalformedContext("x-b3-traceid and x-b3-spanid are malformed")
    return _context(context, trace_id, span_id, sampled)


def _state(context: Frame) -> str | None:
    """The sampling state to write; None if the decision is left open."""
    if context.identity is None or getattr(context, "decision", "flag") == "defer":
        return None
    return "1" if is_sampled(context.identity) else "0"


class B3Single:
    """The propagator of ``b3``."""

    name = "b3"
    fields: tuple[str, ...] = ("b3", *_MULTI, *(name.lower() for name in _MULTI))
    prefix: str | None = None

    def extract(self, carrier: Carrier, context: Context) -> Context:
        try:
            text = present(carrier, "b3")
            return _extract_multi(carrier, context) if text is None else _extract_single(text, context)
        except MalformedContext as error:
            if "b3" not in carrier.names():
                raise
            from_multi = _extract_multi(carrier, context)
            # still counted: the single header was malformed
            raise MalformedContext(str(error), None if from_multi is context else from_multi) from None

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            return
        identity = context.identity.decode("ascii")
        state = _state(context)
        carrier.set("b3", identity[3:52] if state is None else f"{identity[3:52]}-{state}")
        _drop_multi(carrier, identity)


class B3Multi(B3Single):
    """The propagator of ``b3multi``."""

    name = "b3multi"

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            return
        identity = context.identity.decode("ascii")
        single = carrier.get("b3")
        if single is not None and single[:49] != identity[3:52]:
            carrier.remove("b3")  # it is another span's, and would be read first
        _drop_multi(carrier, "")
        carrier.set("x-b3-traceid", identity[3:35])
        carrier.set("x-b3-spanid", identity[36:52])
        state = _state(context)
        if state is not None:
            carrier.set("x-b3-sampled", state)


def _drop_multi(carrier: Carrier, identity: str) -> None:
    """Remove ``x-b3-*`` unless they hold this identity: a reader of only these would follow another span."""
    names = set(carrier.names())
    if names.isdisjoint(B3Single.fields[1:]) or (identity and carrier.get("x-b3-spanid") == identity[36:52]):
        return
    for name in B3Single.fields[1:]:
        if name in names or name.lower() in names:
            carrier.remove(name)
