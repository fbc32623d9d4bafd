"""OTLP JSON in a file, a TracesData a line: ``file:///path.jsonl``.

What the OpenTelemetry Collector's file exporter writes, and its otlpjsonfile receiver reads. A batch is one write to a
file that is open for appending, so several processes may share it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from mqtrace.core import Span

from . import otlp_json
from .protocol import Exported
from .sparing import SparingEncoder

__all__ = ["FileExporter"]


class FileExporter:
    """Appends to ``path``. A file that cannot be opened or written is an exception: the spans count as lost.

    A span that cannot be encoded is lost alone.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: int | None = None
        self._torn = False
        self._encode = SparingEncoder(otlp_json.encode)

    def export(self, spans: Sequence[Span]) -> Exported:
        """Write them."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        encoded = self._encode(spans)
        if encoded is None:
            return Exported(0, 0, {"encode_failed": len(spans)})
        text, good = encoded
        line = text + b"\n"
        if self._torn:  # a full disk cut a line short: the next one must not continue it
            line = b"\n" + line
        written = os.write(self._file, line)
        self._torn = written < len(line)
        while written < len(line):
            written += os.write(self._file, line[written:])
        self._torn = False
        return Exported(len(good), len(line), {"encode_failed": len(spans) - len(good)})

    def shutdown(self, timeout: float) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
