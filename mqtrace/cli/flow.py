"""``mqtrace flow``: who sends to whom."""

from __future__ import annotations

import argparse

from . import sources, terminal

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Says which services send to which through what, how many messages, how long they wait and how long they are worked on,
what failed, what was tried again, and what came back as a dead letter."""
_EPILOG = """\
examples:
  mqtrace flow kafka://localhost:9092/otlp_spans
  mqtrace flow spans.duckdb --last 1h --service payments --json

exit status: 0, or 2 when SOURCE cannot be read
"""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = sources.add_question(
        commands, "flow", "say who sends to whom, and how long it waits", _DESCRIPTION, _EPILOG
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    console = None if options.json else terminal.console()
    with sources.opening(options.source) as source:
        rows = source.flow(sources.scope(source, options))
        if console is None:
            sources.print_rows(rows)
        else:
            from . import tables

            tables.flow(console, rows, sources.window_words(source, options))
    return 0
