"""For tests of your own: recorded spans, a clock that stands still, the contracts of carriers and clients."""

from __future__ import annotations

from .async_client_contract import AsyncClientContract
from .carrier_contract import CarrierContract
from .client_contract import ClientContract
from .clock import FakeClock
from .recording import Spans, record

__all__ = ["AsyncClientContract", "CarrierContract", "ClientContract", "FakeClock", "Spans", "record"]
