"""Writes rows into a database: a transaction has spans and how far their source was read, so that none counts twice.

A span that came before (sources deliver at least once) is left out: within a transaction by its ids, among earlier ones
by a join over the spans that began in the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import duckdb

from mqtrace.flow.trouble import SourceError
from mqtrace.otlp.columns import COLUMNS, Columns

from .database import Database, first_line

__all__ = ["Ingest"]

_PLACES: Final = {name: place for place, name in enumerate(COLUMNS)}
_N, _T_HI, _T_LO, _SPAN, _START, _DURATION = (
    _PLACES[name] for name in ("n", "t_hi", "t_lo", "span", "start_ns", "duration_ns")
)
_BEFORE: Final = """
SELECT b.n FROM span b JOIN span a ON a.t_lo = b.t_lo AND a.span = b.span AND a.t_hi = b.t_hi
WHERE b.n >= $first AND a.n < $first AND a.start_ns BETWEEN $earliest AND $latest"""


class Ingest:
    """Writes into a database, from one thread.

    ``spans`` is their number, ``oldest_ns`` the first start and ``newest_ns`` the last end; None if there are none.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: list[list[Any]] = []
        self._links: list[list[Any]] = []
        self._seen: set[tuple[int, int, int]] = set()
        #: Spans that came before, and were left out.
        self.duplicates = 0
        self.count()

    def count(self) -> None:
        """Count the spans in the database: at the start, and after some were deleted."""
        totals = self._database.writer.execute(
            "SELECT count(*), coalesce(max(n), -1), min(start_ns), max(start_ns + greatest(duration_ns, 0)) FROM span"
        ).fetchone()
        assert totals is not None
        self.spans = int(totals[0])
        self._next = max(getattr(self, "_next", 0), int(totals[1]) + 1)
        self.oldest_ns: int | None = totals[2]
        self.newest_ns: int | None = totals[3]

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._rows)

    def add(self, columns: Columns) -> None:
        """Take the rows of a message."""
        rows, seen = self._rows, self._seen
        number = self._next + len(rows)
        if not columns.links:
            for row in columns.rows:
                key = row[_T_HI], row[_T_LO], row[_SPAN]
                if key in seen:
                    self.duplicates += 1
                    continue
                seen.add(key)
                row[_N] = number
                number += 1
                rows.append(row)
            return
        numbers: dict[int, int] = {}
        for place, row in enumerate(columns.rows):
            key = row[_T_HI], row[_T_LO], row[_SPAN]
            if key in seen:
                self.duplicates += 1
                continue
            seen.add(key)
            row[_N] = numbers[place] = number
            number += 1
            rows.append(row)
        for link in columns.links:
            if link[0] in numbers:
                link[0] = numbers[link[0]]
                self._links.append(link)

    def commit(self, read_to: Mapping[str, int]) -> int:
        """Write all that was added, and ``read_to``, the next offset by place. Returns how many spans are new.

        Raises SourceError if it cannot be written; then all of it is kept, and may be committed again.
        """
        writer = self._database.writer
        rows, links = self._rows, self._links
        try:
            writer.begin()
            try:
                if rows:
                    _append(writer, "span", rows)
                if links:
                    _append(writer, "link", links)
                again = self._came_before() if rows and self.spans else []
                if again:
                    for table in ("span", "link"):
                        writer.execute(f"DELETE FROM {table} WHERE n IN $again", {"again": again})
                for place, offset in read_to.items():
                    writer.execute("DELETE FROM read_to WHERE place = $place", {"place": place})
                    writer.execute("INSERT INTO read_to VALUES ($place, $next)", {"place": place, "next": offset})
                writer.commit()
            except BaseException:
                _rolled_back(writer)
                raise
        except duckdb.Error as error:
            raise SourceError(_writing(str(self._database.path), error)) from error
        new = len(rows) - len(again)
        self.duplicates += len(again)
        if rows:
            self._next += len(rows)
            self.spans += new
            earliest, latest = min(row[_START] for row in rows), max(row[_START] + row[_DURATION] for row in rows)
            self.oldest_ns = earliest if self.oldest_ns is None else min(self.oldest_ns, earliest)
            self.newest_ns = latest if self.newest_ns is None else max(self.newest_ns, latest)
        self._rows, self._links, self._seen = [], [], set()
        return new

    def _came_before(self) -> list[int]:
        starts = [row[_START] for row in self._rows]
        parameters = {"first": self._next, "earliest": min(starts), "latest": max(starts)}
        return [number for (number,) in self._database.writer.execute(_BEFORE, parameters).fetchall()]

    def read_to(self) -> dict[str, int]:
        """Where to read on, from the last commit."""
        return dict(self._database.writer.execute("SELECT place, next FROM read_to").fetchall())

    def claim(self, source: str) -> None:
        """Note which source the file is filled from. Raises SourceError if it was filled from another."""
        origin = self._database.about("source")
        if origin is None:
            self._database.writer.execute("INSERT INTO about VALUES ('source', $source)", {"source": source})
        elif origin != source:
            raise SourceError(
                f"{str(self._database.path)!r} was filled from {origin}, not from {source}: name another file with --db"
            )


def _append(writer: duckdb.DuckDBPyConnection, table: str, rows: Iterable[list[Any]]) -> None:
    appender = writer.appender(table)
    appender.append_rows(rows)
    appender.flush()


def _rolled_back(writer: duckdb.DuckDBPyConnection) -> None:
    try:
        writer.rollback()
    except duckdb.Error:
        pass  # the transaction has ended by its error


def _writing(path: str, error: Exception) -> str:
    message = str(error)
    if "No space left" in message or "disk" in message.lower() or "Could not write" in message:
        return f"{path!r} cannot be written, the disk is full: make room; reading goes on from here when there is some"
    return f"{path!r} cannot be written: {first_line(error)}"
