"""Spans in a file, one batch after the other: ``file:///path.jsonl[?encoding=otlp_proto]``.

The format is that of the OpenTelemetry Collector's file exporter: OTLP JSON with a TracesData a line, which its
otlpjsonfile receiver reads; or protobuf with the length of each TracesData before it, in four bytes, big-endian. A
batch is one write to a file that is open for appending, so several processes may share it.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from mqtrace.core import Span
from mqtrace.urls import Url, shown

from . import encodings
from .limited_log import LimitedLog
from .protocol import Exported
from .safe_encoder import SafeEncoder

__all__ = ["FileExporter", "from_url"]

_LENGTH: Final = struct.Struct(">I")


def from_url(url: Url) -> FileExporter:
    """The exporter to the file that the URL names."""
    options = url.only(("encoding",))
    encoding = url.choice(options, "encoding", encodings.ENCODINGS, "otlp_json")
    location = url.location
    host, _, path = location[2:].partition("/") if location.startswith("//") else ("", "", location.removeprefix("/"))
    if not location.startswith("/") or host not in ("", "localhost") or not path or path.endswith("/"):
        raise url.error(
            "it does not name a file: write three slashes and the whole path, 'file:///var/log/spans.jsonl'"
        )
    exporter = FileExporter("/" + unquote(path), encoding=encoding)
    trouble = exporter.trouble()
    if trouble is not None:
        raise url.error(trouble)
    return exporter


class FileExporter:
    """Appends to ``path``. Spans that cannot be written are counted as ``export_failed`` and logged once a minute.

    A span that cannot be encoded costs only itself. ConfigurationError for an unknown ``encoding``.
    """

    def __init__(self, path: str, *, encoding: str = "otlp_json") -> None:
        chosen = encodings.named(encoding)
        self.path = path
        self._binary = chosen.is_binary
        self._file: int | None = None
        # Whether a full disk cut the last batch short.
        self._torn = False
        self._encode = SafeEncoder(chosen.encode)
        self._log = LimitedLog(logging.getLogger("mqtrace.export.file"))

    def trouble(self) -> str | None:
        """Why the file cannot be written at present, as a sentence that says what to do; None if it can."""
        folder = os.path.dirname(self.path) or "."
        if "\0" in self.path:
            return "a path has no NUL in it: write 'file:///var/log/spans.jsonl'"
        if not os.path.isdir(folder):
            return "the folder of the file does not exist: make it, or write another path"
        if os.path.isdir(self.path):
            return "it is a folder: write the path of a file"
        if not os.access(self.path if os.path.exists(self.path) else folder, os.W_OK):
            return "the file cannot be written by this user: change its rights, or write another path"
        return None

    def export(self, spans: Sequence[Span]) -> Exported:
        """Write them."""
        encoded = self._encode(spans)
        if encoded is None:
            return Exported(0, 0, {"encode_failed": len(spans)})
        content, good = encoded
        lost = {"encode_failed": len(spans) - len(good)}
        content = _LENGTH.pack(len(content)) + content if self._binary else content + b"\n"
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            size = self._write(self._file, content)
        except OSError as error:
            self._log.warning(
                error.errno, f"spans could not be written to {shown(self.path)} and are lost: {error.strerror}"
            )
            return Exported(0, 0, {**lost, "export_failed": len(good)})
        return Exported(len(good), size, lost)

    def _write(self, file: int, content: bytes) -> int:
        """Append ``content``, as a whole or not at all as far as a reader is concerned."""
        if self._torn and not self._binary:  # the next line must not continue the one that was cut short
            content = b"\n" + content
        written = 0
        try:
            while written < len(content):
                written += os.write(file, content[written:])
        except OSError:
            self._torn = self._torn or written > 0
            if self._binary and written:
                self._take_back(file, written)
            raise
        self._torn = False
        return written

    def _take_back(self, file: int, written: int) -> None:
        """Cut off what was written of a batch: behind half a record no reader finds the next one's length."""
        try:
            end = os.lseek(file, 0, os.SEEK_CUR)
            if end == os.fstat(file).st_size:  # else another process has appended since
                os.ftruncate(file, end - written)
        except OSError:
            pass  # a pipe or a device: its reader has to cope

    def shutdown(self, timeout: float) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
