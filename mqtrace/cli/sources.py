"""What the commands that ask a question share: SOURCE, a window, filters, ``--json``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mqtrace.flow import AskError, Scope, Source
from mqtrace.flow.ask import moment_ns, scope_of, seconds
from mqtrace.flow.opening import KINDS, is_filled, opened, reader_of
from mqtrace.flow.trouble import SourceError

from . import terminal
from .format import count

__all__ = ["add_question", "opening", "print_rows", "scope", "typed", "window_words"]

Answer = TypeVar("Answer")

_SOURCE = f"""\
SOURCE: {KINDS}.
A topic and a file are read whole, from their beginning; nothing is committed, and no group is formed. A running page
and ClickHouse are asked about the last hour, unless --last, --from or --to says otherwise."""


def add_question(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """A command with the arguments of every question."""
    parser = commands.add_parser(
        name,
        help=help,
        description=f"{description}\n\n{_SOURCE}",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="where the spans are")
    window = parser.add_argument_group("the window: all that is there, if nothing is said")
    window.add_argument("--last", metavar="1h", type=typed(_duration), help="the last 90s, 15m, 1h, 2d")
    window.add_argument("--from", metavar="TIME", dest="from_", type=typed(_moment), help="2026-11-29T16:55:00Z")
    window.add_argument("--to", metavar="TIME", type=typed(_moment), help="until then; now, if left out")
    filters = parser.add_argument_group("filters")
    filters.add_argument(
        "--service", action="append", metavar="NAME", help="a service; * and ? match; again: any of them"
    )
    filters.add_argument(
        "--destination", action="append", metavar="NAME", help="a topic, queue or exchange; as --service"
    )
    parser.add_argument("--json", action="store_true", help="an object a line")
    return parser


def typed(check: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """A check for argparse whose own sentence is shown."""

    def argument(text: str) -> Answer:
        try:
            return check(text)
        except AskError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return argument


def _duration(text: str) -> str:
    seconds(text)
    return text


def _moment(text: str) -> str:
    moment_ns(text)
    return text


def scope(source: Source, options: argparse.Namespace) -> Scope:
    """The window and the filters of a command."""
    parameters = {
        "last": [options.last] if options.last else [],
        "from": [options.from_] if options.from_ else [],
        "to": [options.to] if options.to else [],
        "service": options.service or [],
        "destination": options.destination or [],
    }
    return scope_of(source, parameters)


def window_words(source: Source, options: argparse.Namespace) -> str:
    """Which window a table is about."""
    if options.last:
        return f"the last {options.last}" + (f" until {options.to}" if options.to else "")
    if options.from_ or options.to:
        return " ".join(filter(None, (options.from_ and f"from {options.from_}", options.to and f"until {options.to}")))
    window = source.state()["window_s"]
    return "all that is there" if window is None else f"the last {window / 3600:g} h (--last says otherwise)"


@contextmanager
def opening(address: str) -> Iterator[Source]:
    """Open a source. A topic or a file is first read to where it ended when it was opened. Raises SourceError."""
    source = _read(address) if is_filled(address) else opened(address)
    try:
        yield source
    finally:
        source.close()


def _read(address: str) -> Source:
    reader = reader_of(address)
    from mqtrace.flow.store.filled import FilledSource

    source = FilledSource(reader)
    try:
        trouble = source.state()["trouble"]
        if trouble is not None:
            raise SourceError(trouble)
        with _progress(reader.shown, reader.kind) as progress:
            source.fill(progress)
        state = source.state()
        messages, spans = state["messages_malformed"], state["spans_malformed"]
        if messages and not (spans or state["spans"]):  # "nothing is missing" would be a wrong answer
            others = f"{count(messages, 'message')} that are no OTLP"
            raise SourceError(f"{reader.shown} has no spans, and {others}: name what spans are sent to")
        if messages or spans:
            terminal.say(f"{count(messages, 'message')} held no OTLP, {count(spans, 'span')} had no valid ids")
    except BaseException:
        source.close()
        raise
    return source


@contextmanager
def _progress(shown: str, kind: str) -> Iterator[Callable[[int, int | None], None]]:
    """A line on stderr that changes while a source is read; nothing if stderr is not a terminal."""
    watched = sys.stderr.isatty()
    written_at_s = time.monotonic()
    written = False

    def progress(spans: int, behind: int | None) -> None:
        nonlocal written_at_s, written
        now = time.monotonic()
        if not watched or now - written_at_s < 0.2:
            return
        written_at_s = now
        left = "" if not behind else f", {behind:,} {'messages' if kind == 'topic' else 'bytes'} to go"
        sys.stderr.write(f"\r\x1b[Kmqtrace: reading {shown}: {spans:,} spans{left}")
        sys.stderr.flush()
        written = True

    try:
        yield progress
    finally:
        if written:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def print_rows(rows: Iterable[Any]) -> None:
    """Print each row as a JSON object on a line of its own."""
    for row in rows:
        print(json.dumps(row, allow_nan=False))
