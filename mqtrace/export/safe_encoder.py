"""An encoding of a batch in which a span that cannot be encoded costs only itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from mqtrace.core import Span

from .limited_log import LimitedLog

__all__ = ["SafeEncoder"]

Encoded = TypeVar("Encoded", bytes, str)


class SafeEncoder(Generic[Encoded]):
    """Calls ``encode``, which encodes several spans as one and may raise anything."""

    def __init__(self, encode: Callable[[Sequence[Span]], Encoded]) -> None:
        self._encode: Callable[[Sequence[Span]], Encoded] = encode
        self._log = LimitedLog(logging.getLogger("mqtrace.export"))

    def __call__(self, spans: Sequence[Span]) -> tuple[Encoded, Sequence[Span]] | None:
        """The encoded spans, and which spans they are; None if none can be encoded."""
        try:
            return self._encode(spans), spans
        except Exception as error:  # noqa: BLE001  # one span that cannot be encoded must not take the others along
            self._log.warning("encode", f"a span could not be encoded and is dropped: {error!r}")
        good = [span for span in spans if self._can_encode(span)]
        try:
            return (self._encode(good), good) if good else None
        except Exception:  # noqa: BLE001  # each can be encoded, but not all together: there is nothing else to try
            return None

    def _can_encode(self, span: Span) -> bool:
        try:
            self._encode([span])
        except Exception:  # noqa: BLE001  # as above; the caller counts it
            return False
        return True
