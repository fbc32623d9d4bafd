"""A line a span on standard error: ``console:``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from mqtrace.core import Span

__all__ = ["ConsoleExporter"]


class ConsoleExporter:
    """Writes a line for each span: when, how long, who, what, and its attributes."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    def export(self, spans: Sequence[Span]) -> None:
        """Write them."""
        out = self._out or sys.stderr
        out.write("".join(f"{_line(span)}\n" for span in spans))
        out.flush()

    def shutdown(self, timeout: float) -> None:
        """There is nothing to release."""


def _line(span: Span) -> str:
    milliseconds = ((span.end_time or span.start_time) - span.start_time) / 1e6
    attributes = " ".join(f"{key}={value!r}" for key, value in span.attributes.items())
    status = "" if span.status == "unset" else f" {span.status.upper()}"
    below = f" < {span.parent_id}" if span.parent_id else ""
    line = (
        f"{span.trace_id} {span.span_id}{below} {span.service}: {span.name} ({span.kind}) "
        f"{milliseconds:.3f} ms{status} {attributes}"
    )
    return line.replace("\r", "\\r").replace("\n", "\\n")  # a name may hold a line break
