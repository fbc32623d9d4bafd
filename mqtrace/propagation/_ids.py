"""Ids of other formats as a ``traceparent``: hex digits, padded to 32 and 16."""

from __future__ import annotations

from mqtrace.carriers import Carrier
from mqtrace.core import is_valid

from ._protocol import MalformedContext

__all__ = ["is_sampled", "present", "traceparent"]


def traceparent(trace_id: str, span_id: str, sampled: bool) -> bytes:
    """A traceparent of 55 bytes. The random flag is not set: no other format says how its ids were made.

    Raises :class:`MalformedContext` if an id is not lowercase hex, is too long, or is zero.
    """
    text = f"00-{trace_id.rjust(32, '0')}-{span_id.rjust(16, '0')}-{'01' if sampled else '00'}"
    if not text.isascii() or not is_valid(value := text.encode("ascii")):
        raise MalformedContext("an id that is not hex, too long, or zero")
    return value


def is_sampled(value: bytes) -> bool:
    """Bit 0 of the flags of a valid traceparent."""
    return value[54] in b"13579bdf"


def present(carrier: Carrier, name: str) -> str | None:
    """The text of a header; None if it is absent. Raises :class:`MalformedContext` if it is not text."""
    value = carrier.get(name)
    if value is None and name in carrier.names():
        raise MalformedContext(f"{name} is not text")
    return value
