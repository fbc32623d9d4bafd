"""``mqtrace tail``: traces, drawn as they complete."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import chain

from mqtrace.flow.opening import KINDS
from mqtrace.otlp.trace import Trace, as_json

from . import terminal
from .feeds import Wanted, feed_of

__all__ = ["add_arguments", "run", "wanted"]

_DESCRIPTION = f"""\
Draws the traces of SOURCE as they complete, whichever library wrote the spans.

A trace is taken for complete when its root has arrived and nothing new came for --quiet-seconds; one whose root
never comes is drawn after five times as long. Nothing is committed, and no consumer group is formed.

SOURCE: {KINDS}.
A running page and ClickHouse are asked each second. A DuckDB file gets no more: its newest 1,000 traces are drawn, the
oldest of them first.
"""
_EPILOG = """\
examples:
  mqtrace tail kafka://localhost:9092/otlp_spans
  mqtrace tail kafka://localhost:9092/otlp_spans --errors --service payments
  mqtrace tail kafka://localhost:9092/otlp_spans --from-beginning --limit 10 --timeout 30 --json
  mqtrace tail http://127.0.0.1:8765 --slower-than 500

exit status: 0, or 1 when --timeout came before --limit traces, or 2 when there is nothing to read from
"""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = commands.add_parser(
        "tail",
        help="draw traces as they complete",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="where the spans are")
    filters = parser.add_argument_group("filters: a trace is drawn when it meets all of them")
    filters.add_argument(
        "--service", action="append", metavar="NAME", help="a service that took part; * and ? match; again: any of them"
    )
    filters.add_argument(
        "--destination", action="append", metavar="NAME", help="a topic, queue or exchange that it passed; as --service"
    )
    filters.add_argument("--errors", action="store_true", help="one of its spans failed")
    filters.add_argument("--slower-than", type=terminal.positive, metavar="MS", help="it took longer, in milliseconds")
    when = parser.add_argument_group("from when to when")
    when.add_argument(
        "--from-beginning",
        action="store_true",
        help="also what is there already (of a page or ClickHouse, the last hour)",
    )
    when.add_argument(
        "--quiet-seconds",
        type=terminal.positive,
        default=6.0,
        metavar="S",
        help="a trace is complete when nothing of it came for so long (6)",
    )
    # What this option was called before: settle is what a consumer does with a message.
    when.add_argument("--settle", dest="quiet_seconds", type=terminal.positive, help=argparse.SUPPRESS)
    when.add_argument("--limit", type=terminal.whole, metavar="N", help="end after N traces")
    when.add_argument(
        "--timeout", type=terminal.positive, metavar="S", help="end after S seconds, drawing what has come until then"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a trace, each on a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    draw = _writer(options.json)
    keep = wanted(options)
    drawn = 0
    ends = None if options.timeout is None else time.monotonic() + options.timeout
    feed = feed_of(
        options.source,
        quiet_seconds=options.quiet_seconds,
        from_beginning=options.from_beginning,
        wanted=_source_filters(options),
    )
    try:
        over = False
        while not over:
            ready = feed.due(0.2 if ends is None else max(0.0, min(0.2, ends - time.monotonic())))
            over = feed.over or (ends is not None and time.monotonic() >= ends)
            for trace in chain(ready, feed.rest() if over else ()):
                if keep(trace):
                    draw(trace)
                    drawn += 1
                    if drawn == options.limit:
                        over = True
                        break
    finally:
        feed.close()
    return 1 if options.limit is not None and drawn < options.limit else 0


def _source_filters(options: argparse.Namespace) -> Wanted:
    """The filters, for a source that can apply them."""
    return Wanted(tuple(options.service or ()), tuple(options.destination or ()), options.errors, options.slower_than)


def _writer(as_lines: bool) -> Callable[[Trace], None]:
    if as_lines:
        return write_json
    return terminal.waterfall().draw


def write_json(trace: Trace) -> None:
    """A trace as a line, at once, so that a reader behind a pipe sees it."""
    print(json.dumps(as_json(trace), allow_nan=False), flush=True)


def wanted(options: argparse.Namespace) -> Callable[[Trace], bool]:
    """The filters as one question."""

    def keep(trace: Trace) -> bool:
        if options.errors and not trace.errors:
            return False
        if options.slower_than is not None and trace.duration <= options.slower_than * 1e6:
            return False
        return _any_of(options.service, trace.services) and _any_of(options.destination, trace.destinations)

    return keep


def _any_of(patterns: list[str] | None, names: list[str]) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
