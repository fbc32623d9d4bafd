"""A trace that a browser can hold: ten thousand spans, each with attributes of 64 KB, would be gigabytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mqtrace.flow import TraceAnswer, TraceSpan

__all__ = ["lightened"]

#: Characters in all attributes of a trace, those of its events and links too.
_MOST: Final = 16_000_000
_SHORT: Final = 256
_CUT_NOTE: Final = "... (cut at 256 characters, as the whole trace has more than 16 MB)"


def lightened(trace: TraceAnswer, most: int = _MOST) -> TraceAnswer:
    """The trace with all its spans. Texts of the spans beyond ``most`` characters are cut, with a note."""
    remaining = most
    spans: list[TraceSpan] = []
    for span in trace["spans"]:
        weight = _weight([span["attributes"], span["events"], span["links"], span["status_description"], span["error"]])
        if weight <= remaining:
            remaining -= weight
            spans.append(span)
            continue
        light: Any = {**span}
        for key in ("attributes", "events", "links", "status_description", "error"):
            light[key] = _cut(light[key])
        spans.append(light)
    return {**trace, "spans": spans}


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + _weight(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(_weight, value))
    return 8


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _SHORT + len(_CUT_NOTE) else value[:_SHORT] + _CUT_NOTE
    if isinstance(value, Mapping):
        return {key: _cut(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item) for item in value]
    return value
