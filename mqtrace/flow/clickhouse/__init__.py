"""Spans in ClickHouse, in the table that the OpenTelemetry Collector's exporter writes: read, never written."""

from __future__ import annotations

from .source import ClickHouseSource

__all__ = ["ClickHouseSource"]
