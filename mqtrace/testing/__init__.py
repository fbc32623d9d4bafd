"""For the tests of those who use mqtrace."""

from __future__ import annotations

from .carrier_contract import CarrierContract

__all__ = ["CarrierContract"]
