"""Datadog's headers: decimal ids of 64 bits, the high half of the trace id in a tag.

- ``x-datadog-trace-id``: the low 64 bits; ``x-datadog-tags``: ``_dd.p.tid={high 64 bits, 16 hex}`` among others, comma
  separated; ``x-datadog-parent-id``: the span id.
- ``x-datadog-sampling-priority``: -1 and 0 drop, 1 and 2 keep; without it the decision is the receiver's.
"""

from __future__ import annotations

import re
from typing import Final

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Frame

from ._ids import is_sampled, present, traceparent
from ._protocol import MalformedContext

__all__ = ["Datadog"]

_TRACE_ID: Final = "x-datadog-trace-id"
_PARENT_ID: Final = "x-datadog-parent-id"
_PRIORITY: Final = "x-datadog-sampling-priority"
_TAGS: Final = "x-datadog-tags"
_HIGH: Final = "_dd.p.tid="
# Datadog's own limit for x-datadog-tags.
_LONGEST: Final = 512
_is_decimal: Final = re.compile(r"[0-9]{1,20}").fullmatch
_is_priority: Final = re.compile(r"-?[0-9]{1,3}").fullmatch
_is_high: Final = re.compile(r"[0-9a-f]{16}").fullmatch


class Datadog:
    """The propagator of ``datadog``."""

    name = "datadog"
    fields: tuple[str, ...] = (_TRACE_ID, _PARENT_ID, _PRIORITY, _TAGS)
    prefix: str | None = None

    def extract(self, carrier: Carrier, context: Context) -> Context:
        trace_id = present(carrier, _TRACE_ID)
        if trace_id is None:
            return context
        low, span_id = _number(trace_id), _number(present(carrier, _PARENT_ID))
        priority = present(carrier, _PRIORITY)
        if priority is not None and not _is_priority(priority):
            raise MalformedContext(f"{_PRIORITY} is malformed")
        high = _high(present(carrier, _TAGS))
        value = traceparent(f"{high or ''}{low:016x}", f"{span_id:016x}", priority is not None and int(priority) > 0)
        extracted = Context(value, None, context.baggage, "defer" if priority is None else "flag")
        if high is None:
            raise MalformedContext(f"{_HIGH[:-1]} is malformed", extracted)
        return extracted

    def inject(self, carrier: Carrier, context: Frame) -> None:
        if context.identity is None:
            return
        identity = context.identity.decode("ascii")
        carrier.set(_TRACE_ID, str(int(identity[19:35], 16)))
        carrier.set(_PARENT_ID, str(int(identity[36:52], 16)))
        if getattr(context, "decision", "flag") == "defer":
            carrier.remove(_PRIORITY)
        else:
            carrier.set(_PRIORITY, "1" if is_sampled(context.identity) else "0")
        high = identity[3:19]
        if high == "0" * 16:
            carrier.remove(_TAGS)
        else:
            carrier.set(_TAGS, _HIGH + high)


def _number(text: str | None) -> int:
    if text is None or not _is_decimal(text) or (number := int(text)) >= 2**64:
        raise MalformedContext("a Datadog id that is not a decimal number of 64 bits")
    return number


def _high(tags: str | None) -> str | None:
    """The high half of the trace id, empty where the tags have none; None if it is malformed."""
    if tags is not None and len(tags) > _LONGEST:
        return None
    for tag in (tags or "").split(","):
        if tag.strip().startswith(_HIGH):
            value = tag.strip()[len(_HIGH) :]
            return value if _is_high(value) else None
    return ""
