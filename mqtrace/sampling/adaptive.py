"""A target of traces a second, and more of what fails.

The rate of roots is measured in short intervals and smoothed; the probability is the target over it. A trace is
recorded by its id's randomness, so at one probability two services agree. Where a destination's spans end in errors its
probability is raised, and the raise halves every ``half_life`` seconds without another error.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from mqtrace.core import ForkSafeLock
from mqtrace.errors import ConfigurationError

from .probability import rate_of

__all__ = ["Adaptive"]

_RANDOMNESS: Final = float(1 << 56)


class Adaptive:
    """Steers to ``per_second`` traces a second.

    ``min_rate``, ``max_rate``: the probability stays between them. ``boost``: a failing destination's probability is
    multiplied by this at first. ``half_life``: seconds in which the raise halves. ``interval``: seconds between two
    measurements of the load. ``destinations``: how many failing ones are remembered; the one that failed longest ago
    is forgotten. ``clock``: monotonic seconds. Thread-safe.
    """

    threshold = None
    state = None

    def __init__(
        self,
        per_second: float,
        *,
        min_rate: float = 0.0001,
        max_rate: float = 1.0,
        boost: float = 10.0,
        half_life: float = 30.0,
        interval: float = 1.0,
        destinations: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value, least in (
            ("per_second", per_second, 0.0),
            ("boost", boost, 0.0),
            ("half_life", half_life, 0.0),
            ("interval", interval, 0.0),
            ("destinations", destinations, 0),
        ):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= least:
                raise ConfigurationError(f"{name}={value!r} is not above {least:g}: write a larger number")
        self.per_second = float(per_second)
        self.min_rate = rate_of(min_rate, "min_rate")
        self.max_rate = rate_of(max_rate, "max_rate")
        if self.min_rate > self.max_rate:
            raise ConfigurationError(f"min_rate={min_rate} is above max_rate={max_rate}: write the smaller one first")
        self._boost = max(1.0, float(boost))
        self._half_life = float(half_life)
        self._interval = float(interval)
        self._most = int(destinations)
        self._clock = clock
        self._guard = ForkSafeLock()
        self._rate = self.max_rate
        self._seen = 0
        self._load: float | None = None
        self._since = clock()
        #: When each destination failed last: the raise is a function of that.
        self._failures: OrderedDict[str | None, float] = OrderedDict()

    @property
    def rate(self) -> float:
        """The probability at this moment, of a destination that does not fail."""
        return self._rate

    def rate_of(self, destination: str | None) -> float:
        """The probability at this moment for the roots of a destination."""
        failed = self._failures.get(destination)
        if failed is None:
            return self._rate
        raised = 1 + (self._boost - 1) * 0.5 ** ((self._clock() - failed) / self._half_life)
        return float(min(self.max_rate, self._rate * raised))

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """Whether the trace id's randomness is within the probability of this moment."""
        with self._guard.lock:
            now = self._clock()
            elapsed = now - self._since
            if elapsed >= self._interval:
                self._adapt(elapsed, now)
            elif elapsed < 0:
                self._since = now
            self._seen += 1
            if self._load is None or self._seen > 4 * self._load * self._interval:
                # A start or a flood within one interval: steer by what has come in this interval so far.
                spent = max(elapsed, 0.0) if elapsed < self._interval else 0.0
                budget = self.per_second * self._interval
                if self._seen > budget:
                    pace = self._seen / max(spent, self._interval / 10)
                    self._rate = self._bounded(min(self._rate, self.per_second / pace))
            rate = self.rate_of(destination)
        return int(trace_id[-14:], 16) >= (1 - rate) * _RANDOMNESS

    def failed(self, destination: str | None) -> None:
        """Raise the probability of a destination whose span ended in an error."""
        with self._guard.lock:
            self._failures[destination] = self._clock()
            self._failures.move_to_end(destination)
            if len(self._failures) > self._most:
                self._failures.popitem(last=False)

    def _adapt(self, elapsed: float, now: float) -> None:
        pace = self._seen / elapsed
        # The geometric mean of the earlier load, by its weight, and the present pace: a step by a hundred, up or down,
        # is followed to within a third in four intervals. After a longer silence the earlier load weighs less.
        weight = 0.5 ** (elapsed / self._interval)
        least = 1 / (self._interval * 100)
        load = pace if self._load is None else max(self._load, least) ** weight * max(pace, least) ** (1 - weight)
        self._load = load
        self._rate = self._bounded(self.per_second / load if load > 0 else self.max_rate)
        self._seen = 0
        self._since = now

    def _bounded(self, rate: float) -> float:
        return max(self.min_rate, min(self.max_rate, rate))

    def __repr__(self) -> str:
        return f"Adaptive({self.per_second})"
