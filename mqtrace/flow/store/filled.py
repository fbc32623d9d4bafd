"""A database that is filled from a reader: once, to its end, or for as long as it is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mqtrace.flow.answers import State
from mqtrace.flow.engine_source import EngineSource
from mqtrace.flow.readers.protocol import Reader
from mqtrace.flow.trouble import SourceError
from mqtrace.otlp.columns_read import ColumnReader

from .database import Database
from .ingest import Ingest
from .retention import Retention
from .state import SAMPLED, sampled, state_of

__all__ = ["FilledSource", "Progress"]

#: Called while a source is filled: with the spans so far, and how far the reader is behind.
Progress = Callable[[int, int | None], None]

# A transaction holds the spans of so much time, or so many rows, whichever is first.
_OFTEN_S: Final = 0.5
_MOST_ROWS: Final = 20_000
_RETRY_S: Final = 2.0
_SAMPLED_EVERY_S: Final = 15.0


class FilledSource(EngineSource):
    """A reader's spans in a database. Raises SourceError if either cannot be opened.

    ``path``: the database's file; None: a temporary one, deleted at the end. ``keep_s`` and ``most_bytes`` bound what
    it keeps; ``window_s``: the window of a question that names none.
    """

    def __init__(
        self,
        reader: Reader,
        path: Path | None = None,
        *,
        keep_s: float | None = None,
        most_bytes: int | None = None,
        window_s: float | None = None,
    ) -> None:
        self._reader = reader
        self._database = Database(path, most_bytes=most_bytes)
        super().__init__(self._database)
        self._columns = ColumnReader()
        self._window_s = window_s
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._sampled: tuple[float, float | None] = 0.0, None
        self._committed = time.monotonic()
        try:
            self._ingest = Ingest(self._database)
            reader.start(self._ingest.read_to())
            self._ingest.claim(reader.identity)
            self._retention = Retention(self._database, self._ingest, keep_s, most_bytes)
            self._retention.apply()
        except BaseException:
            self.close()
            raise

    def fill(self, progress: Progress | None = None) -> None:
        """Read all that was there at the start."""
        while not self._reader.at_end:
            self._turn()
            if progress is not None:
                progress(self._ingest.spans + self._ingest.waiting, self._reader.behind)
        for _ in range(2):  # the last line of a file may have no line break
            self._take(self._reader.read(0.0))
        self._commit()

    def follow(self) -> None:
        """Go on reading, in a thread, until it is closed."""
        self._thread = threading.Thread(target=self._follow, name="mqtrace-flow-reader", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
                self._retention.apply_when_due()
                self._trouble = None
            except SourceError as error:
                # Rows that could not be written are kept, and nothing more is read meanwhile.
                self._trouble = str(error)
                self._stop.wait(_RETRY_S)

    def _turn(self) -> None:
        """Read for a moment, and write when it is time."""
        if self._ingest.waiting < _MOST_ROWS:
            self._take(self._reader.read(0.2))
        now = time.monotonic()
        if self._ingest.waiting >= _MOST_ROWS or now - self._committed >= _OFTEN_S:
            self._commit()
            self._committed = now

    def _take(self, payloads: list[bytes | None]) -> None:
        for payload in payloads:
            self._ingest.add(self._columns.read(payload))

    def _commit(self) -> None:
        read_to = self._reader.read_to()
        if self._ingest.waiting or read_to != getattr(self, "_written_to", None):
            self._ingest.commit(read_to)
            self._written_to = read_to

    def state(self) -> State:
        """The state, from counts that are updated as spans are written."""
        ingest, reader = self._ingest, self._reader
        state = state_of(reader.shown, reader.kind, ingest.spans, ingest.oldest_ns, ingest.newest_ns)
        state["behind"] = reader.behind
        state["sampled"] = self._sampled_share()
        state["messages_malformed"] = self._columns.messages_malformed
        state["spans_malformed"] = self._columns.spans_malformed
        state["trouble"] = self._trouble or reader.trouble
        state["window_s"] = self._window_s
        return state

    def _sampled_share(self) -> float | None:
        now = time.monotonic()
        asked_at, share = self._sampled
        if now - asked_at > _SAMPLED_EVERY_S:
            try:
                share = sampled(self._database.rows(SAMPLED, {}))
            except SourceError:
                pass  # the state's trouble says so
            self._sampled = now, share
        return share

    def close(self) -> None:
        """Write the rows that wait, and close the reader and the database."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
            try:
                self._commit()
            except SourceError:
                pass  # it will be read again
        self._reader.close()
        self._database.close()
