"""So many spans a second, whatever the load, in whole traces.

It is a token bucket: credit grows with time up to ``burst``, and every recorded span takes one. A root is refused while
there is no credit; the spans of a trace that has begun are recorded all the same, and may take the credit below zero,
so that later roots wait. So traces stay whole, and over time the volume is ``per_second``. The cap keeps an idle hour
from paying for a flood.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from mqtrace.core import ForkSafeLock
from mqtrace.errors import ConfigurationError

__all__ = ["RateLimit"]


class RateLimit:
    """At most ``per_second`` spans a second, in bursts of at most ``burst`` (one second's worth if left out).

    ``clock``: monotonic seconds. Thread-safe.
    """

    __slots__ = ("_clock", "_credit", "_guard", "_last", "burst", "per_second")

    threshold = None
    state = None

    def __init__(
        self, per_second: float, burst: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        for name, value in (("per_second", per_second), ("burst", 1 if burst is None else burst)):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:
                raise ConfigurationError(f"{name}={value!r} is not above 0: write a number of spans, 100 for example")
        self.per_second = float(per_second)
        self.burst = max(1.0, self.per_second) if burst is None else float(burst)
        if self.burst < 1:
            raise ConfigurationError(f"burst={burst!r} is below one span, so nothing would pass: write 1 or more")
        self._clock = clock
        self._guard = ForkSafeLock()
        self._credit = self.burst
        self._last = clock()

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """Whether a whole credit is left; it is taken."""
        with self._guard.lock:
            self._accrue()
            if self._credit < 1:
                return False
            self._credit -= 1
            return True

    def spend(self) -> None:
        """Take a credit for a span that is recorded anyway."""
        with self._guard.lock:
            self._accrue()
            self._credit -= 1

    def _accrue(self) -> None:
        now = self._clock()
        if now > self._last:
            self._credit = min(self.burst, self._credit + (now - self._last) * self.per_second)
        # a clock that went back grants no credit twice: time counts from where it is now
        self._last = now

    def __repr__(self) -> str:
        return f"RateLimit({self.per_second}, burst={self.burst})"
