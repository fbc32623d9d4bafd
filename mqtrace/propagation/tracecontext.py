"""W3C Trace Context level 2: ``traceparent`` and ``tracestate``.

- ``traceparent`` of version 00 is exactly 55 lowercase characters (section 3.2.2).
- Of a higher version the first 55 characters are read, after which comes a dash or nothing, and it is sent on as 00;
  version ff is invalid (section 4.3).
- Flags: bit 0 sampled, bit 1 random trace id; the others are unknown to us and go out as zero (section 3.2.2.3).
- ``tracestate`` belongs to a valid ``traceparent``, and is dropped without one; a bad ``tracestate`` alone does not
  break the trace (section 4.3).
"""

from __future__ import annotations

from typing import Final

from mqtrace.carriers import Carrier
from mqtrace.core import TRACEPARENT_LENGTH, Context, Frame, is_valid

from . import tracestate
from ._protocol import MalformedContext

__all__ = ["TraceContext", "parse_traceparent"]

_KNOWN_FLAGS: Final = frozenset((b"00", b"01", b"02", b"03"))
_VERSION_DIGITS: Final = frozenset(b"0123456789abcdef")


def parse_traceparent(text: str) -> bytes | None:
    """The canonical 55 bytes (version 00, known flags) of a ``traceparent``; None if it is malformed."""
    try:
        # a higher version may be of any length; of what follows our part only one character matters
        value = text[: TRACEPARENT_LENGTH + 1].encode("ascii")
    except UnicodeEncodeError:
        return None
    if not is_valid(value):
        # a higher version: two hex digits, neither 00 (which would have matched, or is malformed) nor ff
        if value[:2] in (b"00", b"ff") or not _VERSION_DIGITS.issuperset(value[:2]) or value[55:56] not in (b"", b"-"):
            return None
        value = b"00" + value[2:55]
        if not is_valid(value):
            return None
    if value[53:55] not in _KNOWN_FLAGS:
        value = b"%b%02x" % (value[:53], int(value[53:55], 16) & 3)
    return value


class TraceContext:
    """The propagator of ``tracecontext``."""

    name = "tracecontext"
    fields: tuple[str, ...] = ("traceparent", "tracestate")
    prefix: str | None = None

    def extract(self, carrier: Carrier, context: Context) -> Context:
        text = carrier.get("traceparent")
        if text is None:
            if "traceparent" in carrier.names():
                raise MalformedContext("traceparent is not text")
            return context
        parent = parse_traceparent(text)
        if parent is None:
            raise MalformedContext("traceparent is malformed")
        text = carrier.get("tracestate")
        state = tracestate.parse(text) if text is not None else "" if "tracestate" not in carrier.names() else None
        extracted = Context(parent, state or None, context.baggage)
        if state is None:
            raise MalformedContext("tracestate is malformed", extracted)
        return extracted

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            return
        carrier.set("traceparent", context.identity.decode("ascii"))
        if context.state:
            carrier.set("tracestate", context.state)
        else:
            carrier.remove("tracestate")  # it belonged to another traceparent
