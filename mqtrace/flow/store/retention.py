"""How much a database keeps, by age and size, the oldest first. A file does not shrink; its space is used again."""

from __future__ import annotations

import time
from typing import Final

import duckdb

from mqtrace.flow.trouble import SourceError

from .database import Database, first_line
from .ingest import Ingest

__all__ = ["Retention"]

_EVERY_S: Final = 20.0
# Bytes by which a span's share of a tenth is known: a span takes 50 to 100 of them, one with long attributes more.
_A_TENTH: Final = 2_000
# A checkpoint may write every block anew before it lets go of the old ones, so that a file is up to twice what is used
# of it: more than the one share of the size is made the other, and the file stays below one and a half times the size.
_MOST_USED: Final = 0.7
_LEFT: Final = 0.6


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
        """Once every twenty seconds, and when so much has come that the size may have grown by a tenth."""
        grown = self._most_bytes is not None and self._ingest.spans - self._spans >= self._most_bytes // _A_TENTH
        if grown or time.monotonic() - self._applied >= _EVERY_S:
            self.apply()

    def apply(self) -> None:
        """Delete what is too old, and what is too much. Raises SourceError."""
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
                    deleted |= self._delete_share(1 - _LEFT * self._most_bytes / size)
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
        found = self._database.writer.execute(
            f"SELECT quantile_disc(start_ns, {min(1.0, max(0.01, share)):.6f}) FROM span"
        ).fetchone()
        return found is not None and found[0] is not None and self._delete_before(int(found[0]) + 1)

    def _size(self) -> int:
        """Bytes of the blocks that are in use, and of the log beside them."""
        found = self._database.writer.execute("SELECT block_size * used_blocks FROM pragma_database_size()").fetchone()
        wal = self._database.path.with_name(self._database.path.name + ".wal")
        return (int(found[0]) if found else 0) + (wal.stat().st_size if wal.exists() else 0)

    def _checkpoint(self) -> None:
        """Free the blocks of what was deleted. A question that is still running holds them: then the next time."""
        try:
            self._database.writer.execute("CHECKPOINT")
        except duckdb.TransactionException:
            pass
