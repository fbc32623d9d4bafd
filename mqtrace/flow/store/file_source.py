"""A DuckDB file that nobody fills now, as a source."""

from __future__ import annotations

from pathlib import Path

from mqtrace.flow.answers import State
from mqtrace.flow.engine_source import EngineSource
from mqtrace.flow.trouble import SourceError

from .database import Database
from .state import SAMPLED, asked, sampled, state_of

__all__ = ["DatabaseSource"]


class DatabaseSource(EngineSource):
    """Opens the file for reading. Raises SourceError where that cannot be."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, read_only=True)
        super().__init__(self._database)
        self._path = path
        self._known: State | None = None

    def state(self) -> State:
        """What is in it: nobody changes that while it is open."""
        if self._known is None:
            try:
                self._known = state_of(str(self._path), "duckdb", *asked(self._database.rows))
                self._known["sampled"] = sampled(self._database.rows(SAMPLED, {}))
            except SourceError as error:
                return {**state_of(str(self._path), "duckdb", 0, None, None), "trouble": str(error)}
        return self._known

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
