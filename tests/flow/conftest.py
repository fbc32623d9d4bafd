"""Spans of a made-up shop in databases of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra flow is not installed")

from mqtrace.flow.engine_source import EngineSource
from mqtrace.flow.store.database import Database
from mqtrace.flow.store.ingest import Ingest
from mqtrace.otlp.columns import Columns
from mqtrace.otlp.columns_record import add
from mqtrace.otlp.records import SpanRecord

MakeSource = Callable[[Iterable[SpanRecord]], EngineSource]


@pytest.fixture
def source_of(tmp_path: Path) -> Iterator[MakeSource]:
    """``source_of(spans)``: a source that has them."""
    made: list[Database] = []

    def make(spans: Iterable[SpanRecord]) -> EngineSource:
        database = Database(tmp_path / f"spans-{len(made)}.duckdb")
        made.append(database)
        ingest = Ingest(database)
        columns = Columns()
        for span in spans:
            add(span, columns)
        ingest.add(columns)
        ingest.commit({})
        return EngineSource(database)

    yield make
    for database in made:
        database.close()
