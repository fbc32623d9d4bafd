"""Log lines of trouble that lasts: a dead broker fails every batch, and is worth a line a minute."""

from __future__ import annotations

import logging
import time
from typing import Final

__all__ = ["LimitedLog"]

_PAUSE_S: Final = 60.0
_MOST_KEPT: Final = 100


class LimitedLog:
    """Warnings of one exporter or worker; the same trouble once a minute."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._again_at: dict[object, float] = {}

    def warning(self, trouble: object, sentence: str, error: BaseException | None = None) -> None:
        """Say ``sentence``, unless ``trouble`` was said in the last minute. ``error``: its traceback follows."""
        if time.monotonic() >= self._again_at.get(trouble, 0.0):
            self.hold(trouble)
            self._log.warning("%s", sentence, exc_info=error)

    def hold(self, trouble: object) -> None:
        """Have ``trouble`` not said for a minute: a better sentence has said it."""
        if len(self._again_at) >= _MOST_KEPT:
            self._again_at.clear()
        self._again_at[trouble] = time.monotonic() + _PAUSE_S
