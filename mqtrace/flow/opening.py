"""A source by its address, as the commands take it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mqtrace.urls import shown

from .readers.protocol import Reader
from .source import Source
from .trouble import SourceError

__all__ = ["HOUR_S", "KINDS", "is_filled", "opened", "reader_of"]

#: The window of a question to ClickHouse or a page that names none, seconds.
HOUR_S: Final = 3600.0
KINDS: Final = (
    "kafka://host:9092/topic, http://127.0.0.1:8765 (a running page), spans.duckdb, file:///spans.jsonl or "
    "clickhouse://user:password@host:8123/database"
)


def is_filled(address: str) -> bool:
    """Whether its spans are read into a database: a topic, a file of OTLP."""
    return _scheme(address) in ("kafka", "file")


def reader_of(address: str, *, from_beginning: bool = True) -> Reader:
    """The reader of a topic or a file. Raises SourceError if the address is of neither; nothing is opened yet.

    ``from_beginning``: also what is there already, not only what comes.
    """
    scheme = _scheme(address)
    if scheme == "kafka":
        from .readers.topic import TopicReader, parse

        return TopicReader(parse(address), from_beginning=from_beginning)
    if scheme == "file":
        from .readers.file import FileReader, path_of

        return FileReader(path_of(address), from_beginning=from_beginning)
    raise SourceError(f"{shown(address)!r} is neither a topic nor a file of spans: write kafka:// or file://")


def opened(address: str) -> Source:
    """A source that holds spans already: a DuckDB file, a running page, ClickHouse. Raises SourceError."""
    scheme = _scheme(address)
    if scheme in ("http", "https"):
        from .remote import RemoteSource

        return RemoteSource(address)
    if scheme == "clickhouse":
        from .clickhouse import ClickHouseSource

        return ClickHouseSource(address)
    if scheme == "":
        from .store.file_source import DatabaseSource

        return DatabaseSource(Path(address))
    raise SourceError(f"{shown(address)!r} is not a source of spans: write {KINDS}")


def _scheme(address: str) -> str:
    """The scheme in lower case; "" for a path."""
    scheme, colon, _ = address.partition(":")
    return scheme.lower() if colon and scheme.isascii() and scheme.isalpha() and len(scheme) > 1 else ""
