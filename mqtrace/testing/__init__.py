"""For the tests of those who use mqtrace: recorded spans, a clock that stands still, the carriers' contract."""

from __future__ import annotations

from .carrier_contract import CarrierContract
from .clock import FakeClock
from .recording import Spans, record

__all__ = ["CarrierContract", "FakeClock", "Spans", "record"]
