"""AWS X-Ray's tracing header: ``Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1}``, in any order.

Other keys (``Self``, ``Lineage``) are ignored. Without ``Sampled``, or with ``?``, the decision is the receiver's. A
load balancer starts with ``Root`` alone: that names no span to be the child of, and is not malformed.
"""

from __future__ import annotations

import re
from typing import Final

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Decision, Frame

from ._ids import is_sampled, present, traceparent
from ._protocol import MalformedContext

__all__ = ["XRay"]

_HEADER: Final = "X-Amzn-Trace-Id"
# What AWS services write is 250 characters at most, their lineage included.
_LONGEST: Final = 1024
_root: Final = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})", re.IGNORECASE).fullmatch
_parent: Final = re.compile(r"[0-9a-f]{16}", re.IGNORECASE).fullmatch
_STATES: Final = {"0": False, "1": True, "?": None}


class XRay:
    """The propagator of ``xray``."""

    name = "xray"
    fields: tuple[str, ...] = (_HEADER, _HEADER.lower())
    prefix: str | None = None

    def extract(self, carrier: Carrier, context: Context) -> Context:
        text = present(carrier, _HEADER.lower())
        if text is None:
            text = present(carrier, _HEADER)
        if text is None:
            return context
        if len(text) > _LONGEST:
            raise MalformedContext(f"{_HEADER} is too long")
        parts = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in text.split(";"))}
        root, parent, state = _root(parts.get("Root", "")), parts.get("Parent"), parts.get("Sampled", "?")
        if root is None or state not in _STATES or (parent is not None and not _parent(parent)):
            raise MalformedContext(f"{_HEADER} is malformed")
        sampled = _STATES[state]
        decision: Decision = "defer"
        if parent is None:
            if sampled is None:
                return context
            return Context(None, None, context.baggage, "accept" if sampled else "deny")
        if sampled is not None:
            decision = "flag"
        value = traceparent((root[1] + root[2]).lower(), parent.lower(), bool(sampled))
        return Context(value, None, context.baggage, decision)

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            return
        identity = context.identity.decode("ascii")
        text = f"Root=1-{identity[3:11]}-{identity[11:35]};Parent={identity[36:52]}"
        if getattr(context, "decision", "flag") != "defer":
            text += ";Sampled=1" if is_sampled(context.identity) else ";Sampled=0"
        carrier.remove(_HEADER.lower())
        carrier.set(_HEADER, text)
