"""Spans that are still open when the process ends: in a generator that was not closed, in a thread that goes on.

There is no list of open spans: it would cost every message. They are found among the objects that the garbage
collector tracks, which takes 0.1 s for a million objects, once.
"""

from __future__ import annotations

import gc
import time
from typing import Final

from mqtrace.core import Span, after_fork

__all__ = ["end_open_spans"]

_WHY: Final = "it was still open when the process ended"

#: When this process was forked, a reading of time.monotonic_ns: spans that began before are the parent's.
_forked_ns = 0


def end_open_spans() -> None:
    """End them, with a status that says why."""
    kinds = set(_kinds(Span))
    # by the type, not by isinstance, which would ask objects of any class for their __class__
    for span in [each for each in gc.get_objects() if type(each) in kinds]:
        try:
            if not span.ended and span.begun_ns >= _forked_ns:
                span.set_attributes({"error.type": "process_ended"})
                span.set_status("error", _WHY)
                span.end()
        except Exception:  # noqa: BLE001  # it was not begun, or another thread ends it at this moment
            continue


def _kinds(kind: type[Span]) -> list[type[Span]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


def _in_child() -> None:
    global _forked_ns
    _forked_ns = time.monotonic_ns()


after_fork(_in_child)
