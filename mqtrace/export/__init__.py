"""Where finished spans go: the queue and its worker (batch.py), one encoding a file, one transport a file."""

from __future__ import annotations

from .batch import BatchProcessor, BatchSettings
from .extensions import adapted
from .protocol import Exported, Exporter, PipelinedExporter
from .url import from_url

__all__ = ["BatchProcessor", "BatchSettings", "Exported", "Exporter", "PipelinedExporter", "adapted", "from_url"]
