"""How much a database keeps, by age and size: the oldest spans go first. A file's space is reused, it never shrinks."""

from __future__ import annotations

import time
from typing import Final

import duckdb

from mqtrace.flow.trouble import SourceError

from .database import Database, first_line
from .ingest import Ingest

__all__ = ["Retention"]

_EVERY_S: Final = 20.0
# An estimate that is seldom too low: a span takes 50 to 100 bytes, one with long attributes more.
_BYTES_A_SPAN: Final = 200
# A checkpoint may write every block again before it frees the old ones, so that a file is up to twice as large as its
# used blocks. Beyond the first share of the size they are shrunk to the second: a file stays below 1.5 times the size.
_MOST_USED: Final = 0.7
_SHRUNK_TO: Final = 0.6


class Retention:
    """``keep_s``: seconds since a span began; ``most_bytes``: of the file. None: no bound."""

    def __init__(self, database: Database, ingest: Ingest, keep_s: float | None, most_bytes: int | None) -> None:
        self._database = database
        self._ingest = ingest
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._applied = time.monotonic()
        self._spans = ingest.spans

    def apply_when_due(self) -> None:
        """Apply the bounds every twenty seconds, and when the size may have grown by a tenth."""
        new = self._ingest.spans - self._spans
        grown = self._most_bytes is not None and new >= self._most_bytes // (10 * _BYTES_A_SPAN)
        if grown or time.monotonic() - self._applied >= _EVERY_S:
            self.apply()

    def apply(self) -> None:
        """Delete the spans beyond the bounds. Raises SourceError."""
        self._applied = time.monotonic()
        try:
            self._shrink()
        finally:
            self._spans = self._ingest.spans

    def _shrink(self) -> None:
        try:
            deleted = False
            if self._keep_s is not None:
                deleted = self._delete_before(time.time_ns() - round(self._keep_s * 1e9))
            if self._most_bytes is not None:
                for _ in range(8):
                    size = self._size()
                    if size <= _MOST_USED * self._most_bytes or not self._ingest.spans:
                        break
                    deleted |= self._delete_share(1 - _SHRUNK_TO * self._most_bytes / size)
                    self._checkpoint()
            if deleted:
                self._ingest.count()
                self._checkpoint()
        except duckdb.Error as error:
            raise SourceError(f"{str(self._database.path)!r} cannot be made smaller: {first_line(error)}") from error

    def _delete_before(self, start_ns: int) -> bool:
        oldest = self._ingest.oldest_ns
        if oldest is None or oldest >= start_ns:
            return False
        writer = self._database.writer
        writer.begin()
        try:
            for table in ("link", "span"):
                writer.execute(f"DELETE FROM {table} WHERE start_ns < $before", {"before": start_ns})
            writer.commit()
        except BaseException:
            writer.rollback()
            raise
        self._ingest.count()
        return True

    def _delete_share(self, share: float) -> bool:
        start = self._database.writer.execute(
            f"SELECT quantile_disc(start_ns, {min(1.0, max(0.01, share)):.6f}) FROM span"
        ).fetchone()
        return start is not None and start[0] is not None and self._delete_before(int(start[0]) + 1)

    def _size(self) -> int:
        """The bytes of the blocks in use, and of the log beside the file."""
        size = self._database.writer.execute("SELECT block_size * used_blocks FROM pragma_database_size()").fetchone()
        wal = self._database.path.with_name(self._database.path.name + ".wal")
        return (int(size[0]) if size else 0) + (wal.stat().st_size if wal.exists() else 0)

    def _checkpoint(self) -> None:
        """Free the blocks of deleted spans. A question that still runs holds them: they are freed the next time."""
        try:
            self._database.writer.execute("CHECKPOINT")
        except duckdb.TransactionException:
            pass
