"""Spans on standard error, one a line: ``console:``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from mqtrace.core import Span

from .protocol import Exported
from .safe_encoder import SafeEncoder

__all__ = ["ConsoleExporter"]


class ConsoleExporter:
    """Writes a line for each span: when, how long, who, what, and its attributes."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out
        self._encode = SafeEncoder(_lines)

    def export(self, spans: Sequence[Span]) -> Exported:
        """Write them; a character that the stream's encoding lacks is escaped with a backslash."""
        encoded = self._encode(spans)
        if encoded is None:
            return Exported(0, 0, {"encode_failed": len(spans)})
        text, good = encoded
        out = self._out or sys.stderr
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
        return Exported(len(good), 0, {"encode_failed": len(spans) - len(good)})

    def shutdown(self, timeout: float) -> None:
        """There is nothing to release."""


def _lines(spans: Sequence[Span]) -> str:
    return "".join([f"{_line(span)}\n" for span in spans])


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
