"""Log lines about trouble that lasts: a dead broker fails every batch, and is worth a line a minute."""

from __future__ import annotations

import logging
import time
from typing import Final

__all__ = ["LimitedLog"]

_SILENCE_S: Final = 60.0
_MOST_KEPT: Final = 100


class LimitedLog:
    """The warnings of one exporter or worker: each kind of trouble is logged once a minute."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._silent_until: dict[object, float] = {}

    def warning(self, trouble: object, sentence: str, error: BaseException | None = None) -> None:
        """Log ``sentence``, unless ``trouble`` was logged in the last minute. ``error``: its traceback follows."""
        if time.monotonic() >= self._silent_until.get(trouble, 0.0):
            self.hold(trouble)
            self._log.warning("%s", sentence, exc_info=error)

    def hold(self, trouble: object) -> None:
        """Log nothing of ``trouble`` for a minute: a better sentence was logged."""
        if len(self._silent_until) >= _MOST_KEPT:
            self._silent_until.clear()
        self._silent_until[trouble] = time.monotonic() + _SILENCE_S
