"""Traces as they come, of any source: what ``mqtrace tail`` draws.

A topic and a file are read, and their spans put together here. A running page, ClickHouse and a DuckDB file hold spans
already: they are asked which traces have new ones, and for each of these once nothing more comes.
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
#: How far back a span may begin that is new: messages wait, and services send their spans in batches. Seconds.
_LATE_S: Final = 300.0
#: Traces that a source tells at once; it takes no more.
_MOST: Final = 1_000


class Feed(Protocol):
    """Gives out traces, each once; again, as late, where more of it came."""

    over: bool
    """Nothing more comes."""

    def due(self, timeout: float) -> Iterable[Trace]:
        """Those that seem complete, after at most ``timeout`` seconds of waiting for more. Raises SourceError."""
        ...

    def rest(self) -> Iterable[Trace]:
        """Those that are still open, at the end."""
        ...

    def close(self) -> None:
        """Let go of the source, and say what could not be read."""
        ...


@dataclass(frozen=True)
class Wanted:
    """Filters that a source can apply itself, so that it is not asked for what is not drawn."""

    services: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    errors: bool = False
    slower_than_ms: float | None = None


def feed_of(address: str, *, settle: float, from_beginning: bool, wanted: Wanted) -> Feed:
    """The traces of a source. ``settle``: as :class:`Assembler` takes it. Raises SourceError."""
    if is_filled(address):
        return ReadFeed(reader_of(address, from_beginning=from_beginning), Assembler(settle))
    return AskedFeed(opened(address), settle, from_beginning, wanted)


class ReadFeed:
    """Of a topic or a file, which is closed at the end."""

    over = False

    def __init__(self, reader: Reader, assembler: Assembler) -> None:
        self._reader = reader
        self._assembler = assembler
        self._decoder = OtlpReader()
        self._said: str | None = None
        reader.start({})
        self._say_trouble()
        if self._said is None and sys.stderr.isatty():
            terminal.say(f"reading {reader.shown}; Ctrl-C ends it")

    def due(self, timeout: float) -> Iterable[Trace]:
        """What the assembler takes for complete."""
        for payload in self._reader.read(timeout):
            for span in self._decoder.read(payload):
                self._assembler.add(span)
        self._say_trouble()
        return self._assembler.due()

    def rest(self) -> Iterable[Trace]:
        """What the assembler still has."""
        return self._assembler.rest()

    def close(self) -> None:
        """Count what was no OTLP."""
        self._reader.close()
        read = self._decoder
        if read.messages_malformed or read.spans_malformed:
            terminal.say(
                f"{read.messages_malformed} of {count(read.messages, 'message')} held no OTLP, "
                f"{count(read.spans_malformed, 'span')} had no valid ids"
            )

    def _say_trouble(self) -> None:
        trouble = self._reader.trouble
        if trouble is not None and trouble != self._said:
            terminal.say(trouble)
        self._said = trouble


@dataclass(slots=True)
class _Known:
    """A trace that was told of: how many spans it had, since when nothing came, whether it was drawn before that."""

    spans: int
    since: float
    drawn: bool
    late: bool = False


class AskedFeed:
    """Of a source that holds spans, which is closed at the end. ``clock`` gives monotonic seconds.

    A DuckDB file is at rest: all that is in it is given out, and it is over.
    """

    def __init__(
        self,
        source: Source,
        settle: float,
        from_beginning: bool,
        wanted: Wanted,
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = _EVERY_S,
    ) -> None:
        self._source = source
        self._settle = settle
        self._give_up = 5 * settle
        self._wanted = wanted
        self._clock = clock
        self._every_s = every_s
        self._known: dict[str, _Known] = {}
        self._said: str | None = None
        self._cut = False
        try:
            state = source.state()
            if state["trouble"] is not None:
                raise SourceError(state["trouble"])
            self.over = state["kind"] == "duckdb"
            self._asked = clock()
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
        """Those of which nothing came for a while."""
        if self.over:
            return
        now = self._clock()
        if now - self._asked < self._every_s:
            time.sleep(min(timeout, self._every_s - (now - self._asked)))
            return
        self._asked = now
        try:
            self._look(Scope.last(_LATE_S))
            for trace_id, known in self._oldest_first():
                quiet = now - known.since
                if quiet >= self._settle:
                    trace = self._trace(trace_id, known)
                    if trace is not None and (quiet >= self._give_up or trace.root is not None):
                        known.drawn = True
                        yield trace
        except SourceError as error:
            # What asks again by itself must not end for one answer that stayed away.
            if str(error) != self._said:
                self._said = str(error)
                terminal.say(f"{error}; it is asked again")
            return
        self._said = None

    def rest(self) -> Iterator[Trace]:
        """The others."""
        for trace_id, known in self._oldest_first():
            trace = self._trace(trace_id, known)
            known.drawn = True
            if trace is not None:
                yield trace

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()

    def _look(self, scope: Scope, *, drawn: bool = False) -> None:
        """Which traces have more spans than before. ``drawn``: those that are there now are not to be drawn."""
        wanted = self._wanted
        rows = self._source.traces(
            Scope(scope.from_ns, scope.to_ns, wanted.services, wanted.destinations), errors=wanted.errors, limit=_MOST
        )
        if len(rows) == _MOST and not self._cut:
            self._cut = True
            terminal.say(f"there are more traces than a source tells at once: the newest {_MOST:,} are drawn")
        now = self._clock()
        listed: dict[str, _Known] = {}
        for row in reversed(rows):
            if wanted.slower_than_ms is not None and row["duration_ms"] <= wanted.slower_than_ms:
                continue
            known = self._known.pop(row["trace_id"], None)
            if known is None or known.spans != row["spans"]:
                known = _Known(row["spans"], now, drawn, known is not None and (known.drawn or known.late))
            listed[row["trace_id"]] = known
        # What is told no more has left the window; what is still to be drawn of it is kept.
        self._known = {key: known for key, known in self._known.items() if not known.drawn} | listed

    def _oldest_first(self) -> list[tuple[str, _Known]]:
        return [(trace_id, known) for trace_id, known in self._known.items() if not known.drawn]

    def _trace(self, trace_id: str, known: _Known) -> Trace | None:
        answer = self._source.trace(trace_id)
        if answer is None:
            return None
        trace = assembled(answer)
        trace.late = known.late
        return trace
