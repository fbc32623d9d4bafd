"""The Collector's table as a source."""

from __future__ import annotations

import time
from typing import Final

from mqtrace.flow.answers import State
from mqtrace.flow.engine_source import EngineSource
from mqtrace.flow.questions.window import rfc3339
from mqtrace.flow.trouble import SourceError

from .server import Server, parse

__all__ = ["ClickHouseSource"]

_WINDOW_S: Final = 3600.0
_EVERY_S: Final = 5.0
_COUNTED: Final = """
SELECT count() AS spans, toUnixTimestamp64Nano(min(Timestamp)) AS oldest_ns,
  max(toUnixTimestamp64Nano(Timestamp) + toInt64(Duration)) AS newest_ns
FROM {table} WHERE Timestamp >= fromUnixTimestamp64Nano($lo)"""


class ClickHouseSource(EngineSource):
    """``clickhouse://user:password@host:8123/database[.table]``. Raises SourceError if it cannot be asked."""

    def __init__(self, address: str) -> None:
        self._target = parse(address)
        self._server = Server(self._target)
        super().__init__(self._server)
        self._asked_at = 0.0
        self._state: State | None = None

    def state(self) -> State:
        """Of the last hour, which is what is asked about; looked at every five seconds."""
        now = time.monotonic()
        if self._state is None or now - self._asked_at > _EVERY_S:
            self._asked_at = now
            self._state = self._look()
        return self._state

    def _look(self) -> State:
        state: State = {
            "source": self._target.shown,
            "kind": "clickhouse",
            "spans": 0,
            "oldest": None,
            "newest": None,
            "age_s": None,
            "behind": None,
            "sampled": None,
            "messages_malformed": 0,
            "spans_malformed": 0,
            "trouble": None,
            "window_s": _WINDOW_S,
        }
        table = f"`{self._target.database}`.`{self._target.table}`"
        lo = time.time_ns() - round(_WINDOW_S * 1e9)
        try:
            (row,) = self._server.rows(_COUNTED.format(table=table), {"lo": lo})
        except SourceError as error:
            return {**state, "trouble": str(error)}
        if row["spans"]:
            newest = int(row["newest_ns"])
            state["spans"] = int(row["spans"])
            state["oldest"], state["newest"] = rfc3339(int(row["oldest_ns"])), rfc3339(newest)
            state["age_s"] = max(0.0, (time.time_ns() - newest) / 1e9)
        return state

    def close(self) -> None:
        """Close the connection."""
        self._server.close()
