"""``mqtrace traces``: the newest or the slowest traces that pass the filters."""

from __future__ import annotations

import argparse

from mqtrace.flow import AskError
from mqtrace.flow.source import TracesOrder

from . import sources, terminal

__all__ = ["add_arguments", "run"]

_DESCRIPTION = "Lists traces: the newest, or the slowest, in which a service, a destination, an attribute took part."
_EPILOG = """\
examples:
  mqtrace traces kafka://localhost:9092/otlp_spans --slowest
  mqtrace traces spans.duckdb --errors --attribute order.id=o-77 --json

exit status: 0, or 2 when SOURCE cannot be read
"""
_MOST = 1_000


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = sources.add_question(commands, "traces", "list the newest or the slowest traces", _DESCRIPTION, _EPILOG)
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--newest", dest="order", action="store_const", const="newest", help="the newest first")
    order.add_argument("--slowest", dest="order", action="store_const", const="slowest", help="the slowest first")
    parser.add_argument("--errors", action="store_true", help="one of its spans failed")
    parser.add_argument(
        "--attribute", metavar="KEY=VALUE", type=sources.typed(_pair), help="one of its spans has this attribute"
    )
    parser.add_argument("--limit", type=terminal.whole, default=20, metavar="N", help="at most so many (20)")
    parser.set_defaults(run=run, order="newest")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise AskError(f"{text!r} is not an attribute: write key=value")
    return key, value


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    console = None if options.json else terminal.console()
    order: TracesOrder = "slowest" if options.order == "slowest" else "newest"
    with sources.opening(options.source) as source:
        rows = source.traces(
            sources.scope(source, options),
            order=order,
            errors=options.errors,
            attribute=options.attribute,
            limit=min(options.limit, _MOST),
        )
        if console is None:
            sources.print_rows(rows)
        else:
            from . import tables

            tables.traces(console, rows, sources.window_words(source, options), order)
    return 0
