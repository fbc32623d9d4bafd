"""Jaeger's own headers (Jaeger client libraries, propagation format).

- ``uber-trace-id: {trace}:{span}:{parent}:{flags}``: hex without leading zeros or with them; the parent is deprecated
  and ignored, written as 0; flags bit 0 sampled, bit 1 debug, which implies sampled. Over HTTP the colons may come
  percent-encoded.
- ``uberctx-{key}: {value, percent-encoded}`` is baggage. It travels beside ``uber-trace-id`` only.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Frame

from ._ids import is_sampled, present, traceparent
from ._protocol import MalformedContext
from .baggage import MAX_BYTES, MAX_MEMBERS, is_key, unescape

__all__ = ["Jaeger"]

_PREFIX: Final = "uberctx-"
# As long as it is with every digit and colon percent-encoded, and as many leading zeros again.
_LONGEST: Final = 256
_VALUE: Final = re.compile(
    r"0*([0-9a-f]{1,32}):0*([0-9a-f]{1,16}):[0-9a-f]*:0*([0-9a-f]{1,2})", re.IGNORECASE
).fullmatch


class Jaeger:
    """The propagator of ``jaeger``."""

    name = "jaeger"
    fields: tuple[str, ...] = ("uber-trace-id",)
    prefix: str | None = _PREFIX

    def extract(self, carrier: Carrier, context: Context) -> Context:
        text = present(carrier, "uber-trace-id")
        if text is None:
            return context
        match = _VALUE(unquote(text)) if len(text) <= _LONGEST else None
        if not match:
            raise MalformedContext("uber-trace-id is malformed")
        trace_id, span_id, flags = match.groups()
        value = traceparent(trace_id.lower(), span_id.lower(), bool(int(flags, 16) & 3))
        return Context(value, None, _baggage(carrier, context))

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            return
        identity = context.identity.decode("ascii")
        flags = "01" if is_sampled(context.identity) else "00"
        carrier.set("uber-trace-id", f"{identity[3:35]}:{identity[36:52]}:0:{flags}")
        for key, value in (context.baggage or {}).items():
            if isinstance(key, str) and isinstance(value, str) and is_key(key):
                carrier.set(_PREFIX + key, quote(value, safe="", errors="replace"))


def _baggage(carrier: Carrier, context: Context) -> MappingProxyType[str, str] | None:
    members = dict(context.baggage or {})
    left = MAX_BYTES
    names = [name for name in carrier.names() if name.startswith(_PREFIX)]
    for name in names[:MAX_MEMBERS]:
        value = carrier.get(name)
        if value is not None and len(value) + len(name) <= left:
            left -= len(value) + len(name)
            members[name[len(_PREFIX) :]] = unescape(value)
    return MappingProxyType(members) if members else None
