"""Spans that are open when the process ends: in a generator that nobody closed, in a thread that goes on.

Nobody keeps a list of open spans: that would cost every message. They are found among the objects that the garbage
collector knows, which takes 0.1 s for a million of those, once.
"""

from __future__ import annotations

import gc
import time
from typing import Final

from mqtrace.core import Span, after_fork

__all__ = ["end_open_spans"]

_WHY: Final = "it was still open when the process ended"

#: When this process was forked, a reading of the clock: what began before is the parent's.
_forked_ns = 0


def end_open_spans() -> None:
    """End them, with a status that says why."""
    kinds = set(_kinds(Span))
    # by the type alone: isinstance would ask objects of any class for theirs
    for span in [each for each in gc.get_objects() if type(each) in kinds]:
        try:
            if not span.ended and span.begun_ns >= _forked_ns:
                span.set_attributes({"error.type": "process_ended"})
                span.set_status("error", _WHY)
                span.end()
        except Exception:  # noqa: BLE001  # one that was not begun, or a thread that ends it at this moment
            continue


def _kinds(kind: type[Span]) -> list[type[Span]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


def _in_child() -> None:
    global _forked_ns
    _forked_ns = time.monotonic_ns()


after_fork(_in_child)
