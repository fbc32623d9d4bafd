"""From a URL to an exporter."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from mqtrace.errors import ConfigurationError

from .console import ConsoleExporter
from .discard import DiscardExporter
from .file import FileExporter
from .memory import MemoryExporter

__all__ = ["from_url"]


def from_url(url: str) -> Any:
    """The exporter that a URL names. ConfigurationError for one that names none."""
    parts = urlsplit(url)
    if parts.scheme == "none":
        return DiscardExporter()
    if parts.scheme == "memory":
        return MemoryExporter()
    if parts.scheme == "console":
        return ConsoleExporter()
    if parts.scheme == "file" and parts.path:
        return FileExporter(unquote(parts.path))
    raise ConfigurationError(f"exporter={url!r} is unknown: write kafka://host:9092/otlp_spans")
