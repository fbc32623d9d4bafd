"""A share of all traces, the same ones in every service.

OpenTelemetry, "TraceState: Probability Sampling": the last 56 bits of a trace id are its randomness R; a trace is
recorded when R >= T, where T is the rejection threshold. T travels as ``ot=th:`` in tracestate, as hex digits without
trailing zeros, so that a later count of spans knows how many traces each one stands for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from mqtrace.errors import ConfigurationError

from .constant import NONE

__all__ = ["Probability", "rate_of", "threshold_of"]

_BITS: Final = 56
_DIGITS: Final = 14
# Significant hex digits of a threshold after its leading f's, as the specification proposes: an error below 0.002 %.
_PRECISION: Final = 4


def rate_of(value: object, name: str = "rate") -> float:
    """The rate, as a float; ConfigurationError for a value that is not a rate."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f"{name}={value!r} is not a rate: write a number from 0 to 1, 0.1 for a tenth")
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{name}={value!r} is outside 0 to 1: write 0.1 for a tenth, 1 for everything")
    return float(value)


def threshold_of(rate: float) -> bytes:
    """The rejection threshold of a rate, as 14 hex characters; above every trace id for a rate of 0."""
    if rate <= 0:
        return NONE
    rejected = round((1 - rate) * (1 << _BITS))
    # A small rate has a threshold of many leading f's: precision counts from where they end.
    leading = 0 if rate >= 1 / 16 else int(-math.log(rate, 16))
    dropped = max(0, _BITS - 4 * (leading + _PRECISION))
    rounded = ((rejected + (1 << dropped >> 1)) >> dropped) << dropped if dropped else rejected
    rounded = min(rounded, (1 << _BITS) - (1 << dropped))
    return b"%014x" % rounded


class Probability:
    """Record this share of all traces, 0 to 1."""

    __slots__ = ("rate", "state", "threshold")

    def __init__(self, rate: float) -> None:
        self.rate = rate_of(rate)
        self.threshold = threshold_of(self.rate)
        digits = self.threshold.decode("ascii").rstrip("0") or "0"
        self.state = f"ot=th:{digits}" if self.rate > 0 else None

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """Whether the trace id's randomness reaches the threshold."""
        return trace_id[-_DIGITS:].encode("ascii") >= self.threshold

    def __repr__(self) -> str:
        return f"Probability({self.rate})"
