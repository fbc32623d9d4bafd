"""A DuckDB file that is not filled at present, as a source."""

from __future__ import annotations

from pathlib import Path

from mqtrace.flow.answers import State
from mqtrace.flow.engine_source import EngineSource
from mqtrace.flow.trouble import SourceError

from .database import Database
from .state import SAMPLED, counts, sampled, state_of

__all__ = ["DatabaseSource"]


class DatabaseSource(EngineSource):
    """Opens the file for reading. Raises SourceError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, read_only=True)
        super().__init__(self._database)
        self._path = path
        self._state: State | None = None

    def state(self) -> State:
        """The state, read once: the file does not change while it is open."""
        if self._state is None:
            try:
                self._state = state_of(str(self._path), "duckdb", *counts(self._database.rows))
                self._state["sampled"] = sampled(self._database.rows(SAMPLED, {}))
            except SourceError as error:
                return {**state_of(str(self._path), "duckdb", 0, None, None), "trouble": str(error)}
        return self._state

    def close(self) -> None:
        """Close the file."""
        self._database.close()
