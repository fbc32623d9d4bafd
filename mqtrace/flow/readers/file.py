"""A file that an exporter writes: OTLP JSON, a TracesData a line, or protobuf, four bytes of length before each.

It is followed as it grows. What is not whole yet waits for its end; a file that was replaced or cut is read anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote

from mqtrace.flow.trouble import SourceError
from mqtrace.urls import shown

__all__ = ["FileReader", "path_of"]

_CHUNK: Final = 1 << 20
#: A line or message that is longer holds no spans that anyone wrote: it is passed over.
_LONGEST: Final = 256 << 20
_PAUSE: Final = 0.2


def path_of(url: str) -> Path:
    """``file:///spans.jsonl`` or ``file:spans.jsonl``, its options left out. Raises SourceError."""
    _, _, rest = url.partition(":")
    place = unquote(rest.partition("?")[0])
    if place.startswith("//"):
        host, slash, path = place[2:].partition("/")
        if host not in ("", "localhost"):
            raise SourceError(f"{shown(url)!r} names another machine: write file:///path/to/spans.jsonl")
        place = slash + path
    if not place or "\0" in place:
        raise SourceError(f"{shown(url)!r} is not the address of a file: write file:///path/to/spans.jsonl")
    return Path(place)


class FileReader:
    """A :class:`mqtrace.flow.readers.protocol.Reader` of a file.

    ``from_beginning``: also what is in it at the start.
    """

    kind = "file"

    def __init__(self, path: Path, *, from_beginning: bool = True) -> None:
        self._path = path
        self._from_beginning = from_beginning
        self.shown = f"file://{path.absolute()}"
        self.identity = f"file {path.absolute()}"
        self.trouble: str | None = None
        self._file: BinaryIO | None = None
        self._place = ""
        self._at = 0
        self._buffer = b""
        self._end = 0
        self._last_line = False

    def start(self, read_to: Mapping[str, int]) -> None:
        """Open it. Raises SourceError if it cannot be read."""
        try:
            self._open()
            size = self._path.stat().st_size
        except IsADirectoryError as error:
            raise SourceError(f"{str(self._path)!r} is a folder: name a file in it") from error
        except OSError as error:
            raise SourceError(f"{str(self._path)!r} cannot be read: {error.strerror}") from error
        if self._is_database():
            raise SourceError(f"{str(self._path)!r} is a DuckDB file: write its path alone, without file://")
        at = read_to.get(self._place, 0)
        if at <= size:
            self._seek(at)
        self._end = size
        if not self._from_beginning:
            # Where a message begins is only known from the one before it.
            while not self.at_end and self._more_came():
                pass
            self._last_line = True

    def _is_database(self) -> bool:
        assert self._file is not None
        head = self._file.read(12)
        self._file.seek(0)
        return head[8:] == b"DUCK"

    def _more_came(self) -> bool:
        before = self._at + len(self._buffer)
        self._more()
        return self._at + len(self._buffer) > before

    def _open(self) -> None:
        file = self._path.open("rb")
        self._file, self._place, self._at, self._buffer = file, f"inode {os.fstat(file.fileno()).st_ino}", 0, b""

    def _seek(self, at: int) -> None:
        assert self._file is not None
        self._file.seek(at)
        self._at = at

    def read(self, timeout: float) -> list[bytes | None]:
        """Whole lines or messages, a megabyte or so at a time."""
        payloads = self._more()
        if not payloads:
            if self.at_end and not self._last_line and self._buffer.strip():
                # A last line without an end may be one: whoever writes it now will have it read again with its end.
                self._last_line = True
                if not _has_lengths(self._buffer):
                    return [self._buffer]
            time.sleep(min(timeout, _PAUSE))
            self._look()
            payloads = self._more()
        return payloads

    def _more(self) -> list[bytes | None]:
        assert self._file is not None
        try:
            chunk = self._file.read(_CHUNK)
        except OSError as error:
            raise SourceError(f"{str(self._path)!r} cannot be read: {error.strerror}") from error
        if not chunk:
            return []
        self._buffer += chunk
        self._last_line = False
        payloads: list[bytes | None] = []
        length = self._messages(payloads) if _has_lengths(self._buffer) else self._lines(payloads)
        self._buffer = self._buffer[length:]
        self._at += length
        if len(self._buffer) > _LONGEST:
            payloads.append(None)
            self._at += len(self._buffer)
            self._buffer = b""
        return payloads

    def _lines(self, payloads: list[bytes | None]) -> int:
        whole, end, _ = self._buffer.rpartition(b"\n")
        if not end:
            return 0
        payloads.extend(line for line in whole.split(b"\n") if line.strip())
        return len(whole) + 1

    def _messages(self, payloads: list[bytes | None]) -> int:
        at = 0
        while at + 4 <= len(self._buffer) and _has_lengths(self._buffer, at):
            stop = at + 4 + int.from_bytes(self._buffer[at : at + 4], "big")
            if stop > len(self._buffer):
                break
            payloads.append(self._buffer[at + 4 : stop])
            at = stop
        return at

    def _look(self) -> None:
        """Whether it is still the file that it was."""
        assert self._file is not None
        try:
            now = self._path.stat()
        except OSError:
            self.trouble = f"{str(self._path)!r} is gone: what was read before is shown"
            return
        self.trouble = None
        if f"inode {now.st_ino}" != self._place or now.st_size < self._at:
            self._file.close()
            try:
                self._open()
            except OSError as error:
                self.trouble = f"{str(self._path)!r} cannot be read: {error.strerror}"

    def read_to(self) -> dict[str, int]:
        """By the file's inode: one that was moved away is another place."""
        return {self._place: self._at}

    @property
    def behind(self) -> int | None:
        """Bytes."""
        try:
            return max(0, self._path.stat().st_size - self._at)
        except OSError:
            return 0

    @property
    def at_end(self) -> bool:
        """Whether what was there at the start was read, but for a line that has no end."""
        return self._at + len(self._buffer) >= self._end

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()


def _has_lengths(buffer: bytes, at: int = 0) -> bool:
    """Whether a length begins there: the first byte of one below _LONGEST, which is none that JSON begins with."""
    return buffer[at : at + 1] <= b"\x0f" and buffer[at : at + 1] not in (b"", b"\t", b"\n", b"\r")
