"""A DuckDB file, opened with care: nothing in it or in a query reaches another file, and an error is one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mqtrace.flow.engine import Dialect, Rows
from mqtrace.flow.trouble import SourceError
from mqtrace.otlp.records import SpanRecord

from .dialect import DuckDialect
from .schema import TABLES, VERSION
from .trace import trace_records

try:
    import duckdb
except ImportError as error:
    raise SourceError("spans are kept and asked with DuckDB, which is missing: pip install 'mqtrace[flow]'") from error

__all__ = ["MOST_SECONDS", "Database"]

#: After so long a question is given up.
MOST_SECONDS: Final = 10.0
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "threads": 2,
    "memory_limit": "256MB",
    "preserve_insertion_order": False,
}
_PARAMETER: Final = re.compile(r"\$([a-z_]+)")
#: Set last, because they hold for what follows.
_LOCKS: Final = "SET enable_external_access = false; SET lock_configuration = true"


class Database:
    """An :class:`mqtrace.flow.engine.Engine`. ``path``: the file; None: a temporary one, deleted at the end.

    ``most_bytes``: how large the file may get; retention.py deletes from it. One thread writes spans with ``writer``, a
    connection; each question has a cursor of its own.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, read_only: bool = False, most_bytes: int | None = None
    ) -> None:
        self.dialect: Dialect = DuckDialect()
        self._temporary: str | None = None
        if path is None:
            self._temporary = tempfile.mkdtemp(prefix="mqtrace-spans-")
            path = os.path.join(self._temporary, "spans.duckdb")
        self.path = Path(path)
        spill = tempfile.gettempdir() if read_only else f"{self.path}.tmp"
        if read_only and self.path.is_dir():
            raise SourceError(f"{str(path)!r} is a folder: name a file in it")
        if read_only and not self.path.is_file():
            raise SourceError(f"there is no file {str(path)!r}: correct the path, or fill it with mqtrace ui --db")
        if not self.path.parent.is_dir():
            raise SourceError(f"there is no folder {str(self.path.parent)!r}: make it, or correct the path")
        # The log beside the file counts as the file does: a small file has a small log.
        log = {} if most_bytes is None else {"wal_autocheckpoint": f"{max(1, min(16, most_bytes // 10**7))}MB"}
        new = not self.path.exists() or self.path.stat().st_size == 0
        try:
            if new and self.path.exists():
                self.path.unlink()
            self.writer = duckdb.connect(
                str(self.path), read_only=read_only, config={**_SETTINGS, **log, "temp_directory": spill}
            )
        except (duckdb.Error, OSError) as error:
            raise SourceError(_opening(self.path, error)) from error
        try:
            if new:
                self.writer.execute(f"BEGIN; {TABLES}; COMMIT")
            self._look()
            self.writer.execute(_LOCKS)
        except duckdb.Error as error:
            self.close()
            raise SourceError(f"{str(self.path)!r} cannot be used: {first_line(error)}") from error
        except SourceError:
            self.close()
            raise
        self._closed = False

    def _look(self) -> None:
        """Raise SourceError unless the file has our tables."""
        tables = {name for (name,) in self.writer.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        row = None
        if "about" in tables:
            row = self.writer.execute("SELECT value FROM about WHERE name = 'mqtrace spans'").fetchone()
        if row is None:
            raise SourceError(f"{str(self.path)!r} holds no spans of mqtrace: name another file")
        if row[0] != str(VERSION):
            raise SourceError(
                f"{str(self.path)!r} was written by another version of mqtrace (its tables are of version {row[0]}, "
                f"this one reads {VERSION}): read the topic again into a new file"
            )

    def rows(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """The rows of a question, which has a snapshot of its own."""
        with self.cursor() as cursor:
            wanted = set(_PARAMETER.findall(query))
            cursor.execute(query, {name: value for name, value in parameters.items() if name in wanted})
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The cursor of a question, which is interrupted after :data:`MOST_SECONDS`."""
        try:
            cursor = self.writer.cursor()
        except duckdb.Error as error:
            raise SourceError(f"{str(self.path)!r} is closed") from error
        timer = threading.Timer(MOST_SECONDS, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield cursor
        except duckdb.InterruptException as error:
            raise SourceError(
                f"the question took longer than {MOST_SECONDS:.0f} s: ask about a shorter time"
            ) from error
        except duckdb.Error as error:
            raise SourceError(f"{str(self.path)!r} cannot be read: {first_line(error)}") from error
        finally:
            timer.cancel()
            with contextlib.suppress(duckdb.Error):
                cursor.close()

    def records(self, trace_id: str) -> tuple[list[SpanRecord], list[SpanRecord], int]:
        """The spans of a trace, its guests, and how many more spans it has."""
        return trace_records(self.rows, trace_id)

    def about(self, name: str) -> str | None:
        """A fact about the file, from its table ``about``."""
        rows = self.rows("SELECT value FROM about WHERE name = $name", {"name": name})
        return rows[0]["value"] if rows else None

    def close(self) -> None:
        """Close the file; again does nothing."""
        with contextlib.suppress(duckdb.Error):
            self.writer.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _opening(path: Path, error: Exception) -> str:
    message = str(error)
    if "Could not set lock" in message:
        return (
            f"{str(path)!r} is in use by another process: ask its page (mqtrace flow http://127.0.0.1:8765), or end it"
        )
    if "not a valid DuckDB" in message or "in-memory database" in message:  # it knows JSON and CSV by their names
        return f"{str(path)!r} is not a DuckDB file: correct the path, or write file://{path.absolute()} for OTLP"
    if "orrupt" in message or "checksum" in message:
        return f"{str(path)!r} is damaged: read the topic again into a new file"
    if "version" in message and "storage" in message.lower():
        return f"{str(path)!r} was written by another version of DuckDB: read the topic again into a new file"
    return f"{str(path)!r} cannot be opened: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """DuckDB's sentence, without the kind of the error and without advice."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    _, _, message = line.partition("Error: ")
    return (message or line)[:200]
