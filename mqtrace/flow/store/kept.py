"""Spans that a program holds already, as a source."""

from __future__ import annotations

from collections.abc import Iterable

from mqtrace.flow.answers import State
from mqtrace.flow.engine_source import EngineSource
from mqtrace.otlp.columns import Columns
from mqtrace.otlp.columns_record import add
from mqtrace.otlp.records import SpanRecord

from .database import Database
from .ingest import Ingest
from .state import state_of

__all__ = ["KeptSource"]


class KeptSource(EngineSource):
    """Spans in a temporary database. ``shown``: where they are from, for the state."""

    def __init__(self, spans: Iterable[SpanRecord], shown: str) -> None:
        self._database = Database()
        super().__init__(self._database)
        self._shown = shown
        self._ingest = Ingest(self._database)
        columns = Columns()
        for span in spans:
            add(span, columns)
        self._ingest.add(columns)
        self._ingest.commit({})

    def state(self) -> State:
        """The state; no more spans come."""
        ingest = self._ingest
        return state_of(self._shown, "memory", ingest.spans, ingest.oldest_ns, ingest.newest_ns)

    def close(self) -> None:
        """Delete the spans."""
        self._database.close()
