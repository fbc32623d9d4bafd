"""When to try again: OTLP specification, "Retryable Response Codes" and "OTLP/HTTP Throttling"; RFC 9110, 10.2.3.

The pause is the receiver's, not a batch's: while it is down, batches stand in line, and one is tried at a time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["RETRYABLE", "Backoff", "retry_after_s"]

#: Answers after which the same request may succeed later.
RETRYABLE: Final = frozenset((429, 502, 503, 504))
_FIRST_S: Final = 0.5
_LONGEST_S: Final = 8.0
# The longest Retry-After that is obeyed: a receiver must not be able to end the export.
_LONGEST_WANTED_S: Final = 300.0


class Backoff:
    """How long to wait before a receiver is tried again: 0.5 s, doubled with each failure up to 8 s, half of it random.

    ``monotonic`` and ``chance`` (0 to 1) are for tests.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._monotonic = monotonic
        self._chance = chance
        self._failures = 0
        self._until_s = 0.0

    def failed(self, wanted_s: float | None = None) -> None:
        """Note that the receiver took nothing. ``wanted_s``: the pause that its Retry-After asks for."""
        longest = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._failures, 8))
        self._failures += 1
        pause = longest * (0.5 + self._chance() / 2) if wanted_s is None else min(wanted_s, _LONGEST_WANTED_S)
        self._until_s = self._monotonic() + pause

    def succeeded(self) -> None:
        """Note that the receiver answered: the next failure is a first one again."""
        self._failures = 0
        self._until_s = 0.0

    def remaining_s(self) -> float:
        """Seconds until the receiver may be tried again; 0 if it may be now."""
        return max(0.0, self._until_s - self._monotonic())


def retry_after_s(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or as a date; None if it is neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    if not 20 < len(text) < 60:
        return None
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
