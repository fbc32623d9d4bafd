"""The send time of a message whose broker keeps none: our member of ``tracestate``.

``mqtrace=t:1700000000000`` says when the message was sent, in milliseconds since the epoch by the sender's clock. It is
written when the message is sent, and removed when the message is read, so that it lives for one hop. It belongs to a
``traceparent`` of ours: beside the user's own trace headers nothing is written.

W3C Trace Context level 2, section 3.3: a member that is changed moves to the front, and the others stay.
"""

from __future__ import annotations

from typing import Final

from mqtrace.core import SENT
from mqtrace.propagation.tracestate import get_member, remove_member, set_member

__all__ = ["UNKNOWN", "stamp", "take"]

#: The send time of a message that has none.
UNKNOWN: Final = -1

_KEY: Final = "mqtrace"
_PLAUSIBLE: Final = 10**15


def stamp(state: str | None, sent_ms: int) -> str:
    """A canonical tracestate with the send time in it. ``sent``: ms since the epoch."""
    if not state:
        return f"{SENT}{sent_ms}"
    return set_member(state, _KEY, f"t:{sent_ms}")


def take(state: str | None) -> tuple[str | None, int]:
    """The tracestate without the send time, and the send time (ms since the epoch, :data:`UNKNOWN` without one).

    A member of ours that is not a send time is removed too: only we write it, so it means nothing.
    """
    if state is None:
        return None, UNKNOWN
    if state.startswith(SENT) and "," not in state:  # nothing else, as nearly always
        return None, _milliseconds(state[len(_KEY) + 1 :])
    value = get_member(state, _KEY)
    if value is None:
        return state, UNKNOWN
    return remove_member(state, _KEY), _milliseconds(value)


def _milliseconds(value: str) -> int:
    sort, _, digits = value.partition(":")
    if sort == "t" and digits.isascii() and digits.isdigit() and len(digits) <= 15:
        sent_ms = int(digits)
        return sent_ms if 0 < sent_ms < _PLAUSIBLE else UNKNOWN
    return UNKNOWN
