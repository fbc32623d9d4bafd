"""The traces of any source as they come: what ``mqtrace tail`` draws.

A topic and a file are read, and their spans put together here. A running page, ClickHouse and a DuckDB file hold spans
already: they are asked which traces have new spans, and for each such trace once no more of it comes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from mqtrace.flow import Scope, Source
from mqtrace.flow.opening import is_filled, opened, reader_of
from mqtrace.flow.questions.trace import assembled
from mqtrace.flow.readers.protocol import Reader
from mqtrace.flow.trouble import SourceError
from mqtrace.otlp.read import OtlpReader
from mqtrace.otlp.trace import Trace

from . import terminal
from .assemble import Assembler
from .format import count

__all__ = ["AskedFeed", "Feed", "ReadFeed", "Wanted", "feed_of"]

#: How often a source is asked what is new, seconds.
_EVERY_S: Final = 1.0
#: How long ago a new span may have begun, seconds: messages wait, and services send their spans in batches.
_LATE_S: Final = 300.0
#: The most traces that a source returns at once.
_MOST: Final = 1_000


class Feed(Protocol):
    """Yields traces, each once; again, marked as late, if more of it came."""

    over: bool
    """Whether nothing more comes."""

    def due(self, timeout: float) -> Iterable[Trace]:
        """The traces that seem complete, after at most ``timeout`` seconds of waiting. Raises SourceError."""
        ...

    def rest(self) -> Iterable[Trace]:
        """The traces that are still open, at the end."""
        ...

    def close(self) -> None:
        """Close the source, and say what could not be read."""
        ...


@dataclass(frozen=True)
class Wanted:
    """Filters that a source can apply itself, so that it is not asked for what is not drawn."""

    services: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    errors: bool = False
    slower_than_ms: float | None = None


def feed_of(address: str, *, quiet_seconds: float, from_beginning: bool, wanted: Wanted) -> Feed:
    """The traces of a source. ``quiet_seconds``: as :class:`Assembler` takes it. Raises SourceError."""
    if is_filled(address):
        return ReadFeed(reader_of(address, from_beginning=from_beginning), Assembler(quiet_seconds))
    return AskedFeed(opened(address), quiet_seconds, from_beginning, wanted)


class ReadFeed:
    """The traces of a topic or a file, which is closed at the end."""

    over = False

    def __init__(self, reader: Reader, assembler: Assembler) -> None:
        self._reader = reader
        self._assembler = assembler
        self._decoder = OtlpReader()
        self._last_trouble: str | None = None
        reader.start({})
        self._say_trouble()
        if self._last_trouble is None and sys.stderr.isatty():
            terminal.say(f"reading {reader.shown}; Ctrl-C ends it")

    def due(self, timeout: float) -> Iterable[Trace]:
        """See :class:`Feed`."""
        for payload in self._reader.read(timeout):
            for span in self._decoder.read(payload):
                self._assembler.add(span)
        self._say_trouble()
        return self._assembler.due()

    def rest(self) -> Iterable[Trace]:
        """See :class:`Feed`."""
        return self._assembler.rest()

    def close(self) -> None:
        """Close the reader, and say how much of what it read was not OTLP."""
        self._reader.close()
        read = self._decoder
        if read.messages_malformed or read.spans_malformed:
            terminal.say(
                f"{read.messages_malformed} of {count(read.messages, 'message')} held no OTLP, "
                f"{count(read.spans_malformed, 'span')} had no valid ids"
            )

    def _say_trouble(self) -> None:
        trouble = self._reader.trouble
        if trouble is not None and trouble != self._last_trouble:
            terminal.say(trouble)
        self._last_trouble = trouble


@dataclass(slots=True)
class _ListedTrace:
    """A trace that the source has listed. ``late``: it was drawn before, and more of it has come."""

    spans: int
    #: When its number of spans changed last, monotonic seconds.
    since: float
    drawn: bool
    late: bool = False


class AskedFeed:
    """The traces of a source that holds spans, which is closed at the end. ``clock`` returns monotonic seconds.

    A DuckDB file does not grow: all of its traces are yielded, and the feed is over.
    """

    def __init__(
        self,
        source: Source,
        quiet_seconds: float,
        from_beginning: bool,
        wanted: Wanted,
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = _EVERY_S,
    ) -> None:
        self._source = source
        self._quiet_seconds = quiet_seconds
        self._give_up_seconds = 5 * quiet_seconds
        self._wanted = wanted
        self._clock = clock
        self._every_s = every_s
        self._listed: dict[str, _ListedTrace] = {}
        self._last_trouble: str | None = None
        self._cut = False
        try:
            state = source.state()
            if state["trouble"] is not None:
                raise SourceError(state["trouble"])
            self.over = state["kind"] == "duckdb"
            self._asked_at = clock()
            if self.over or from_beginning:
                window = state["window_s"]
                self._look(Scope() if window is None else Scope.last(window))
            else:
                self._look(Scope.last(_LATE_S), drawn=True)
        except BaseException:
            source.close()
            raise
        if not self.over and sys.stderr.isatty():
            terminal.say(f"asking {state['source']} each second; Ctrl-C ends it")

    def due(self, timeout: float) -> Iterable[Trace]:
        """The traces of which nothing came for a while."""
        if self.over:
            return
        now = self._clock()
        if now - self._asked_at < self._every_s:
            time.sleep(min(timeout, self._every_s - (now - self._asked_at)))
            return
        self._asked_at = now
        try:
            self._look(Scope.last(_LATE_S))
            for trace_id, entry in self._oldest_first():
                quiet = now - entry.since
                if quiet >= self._quiet_seconds:
                    trace = self._trace(trace_id, entry)
                    if trace is not None and (quiet >= self._give_up_seconds or trace.root is not None):
                        entry.drawn = True
                        yield trace
        except SourceError as error:
            # What asks again by itself must not end for one answer that stayed away.
            if str(error) != self._last_trouble:
                self._last_trouble = str(error)
                terminal.say(f"{error}; it is asked again")
            return
        self._last_trouble = None

    def rest(self) -> Iterator[Trace]:
        """The traces that were not drawn."""
        for trace_id, entry in self._oldest_first():
            trace = self._trace(trace_id, entry)
            entry.drawn = True
            if trace is not None:
                yield trace

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _look(self, scope: Scope, *, drawn: bool = False) -> None:
        """See which traces have more spans than before. ``drawn``: count those that are there now as drawn."""
        wanted = self._wanted
        rows = self._source.traces(
            Scope(scope.from_ns, scope.to_ns, wanted.services, wanted.destinations), errors=wanted.errors, limit=_MOST
        )
        if len(rows) == _MOST and not self._cut:
            self._cut = True
            terminal.say(f"there are more traces than a source tells at once: the newest {_MOST:,} are drawn")
        now = self._clock()
        listed: dict[str, _ListedTrace] = {}
        for row in reversed(rows):
            if wanted.slower_than_ms is not None and row["duration_ms"] <= wanted.slower_than_ms:
                continue
            entry = self._listed.pop(row["trace_id"], None)
            if entry is None or entry.spans != row["spans"]:
                entry = _ListedTrace(row["spans"], now, drawn, entry is not None and (entry.drawn or entry.late))
            listed[row["trace_id"]] = entry
        # A trace that is not listed any more has left the window; it is kept while it is still to be drawn.
        self._listed = {key: entry for key, entry in self._listed.items() if not entry.drawn} | listed

    def _oldest_first(self) -> list[tuple[str, _ListedTrace]]:
        return [(trace_id, entry) for trace_id, entry in self._listed.items() if not entry.drawn]

    def _trace(self, trace_id: str, entry: _ListedTrace) -> Trace | None:
        answer = self._source.trace(trace_id)
        if answer is None:
            return None
        trace = assembled(answer)
        trace.late = entry.late
        return trace
