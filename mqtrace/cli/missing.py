"""``mqtrace missing``: what was sent and not processed."""

from __future__ import annotations

import argparse

from mqtrace.flow.ask import age

from . import sources, terminal

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Finds messages that were sent and that a consumer group, or a queue's reader, has not processed, with the evidence:
passed over, probably passed over, waiting, partition not read, dead letter. Spans cannot show that a message is lost: a
consumer that died with its spans unsent looks the same.

A message is judged when it is older than --after; if that is left out, than a minute and ten times what 99 of 100
messages of that destination wait."""
_EPILOG = """\
examples:
  mqtrace missing kafka://localhost:9092/otlp_spans
  mqtrace missing http://127.0.0.1:8765 --last 6h --after 5m --json

exit status: 0, or 1 when a message is missing, or 2 when SOURCE cannot be read
"""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = sources.add_question(
        commands, "missing", "find messages that were sent and not processed", _DESCRIPTION, _EPILOG
    )
    parser.add_argument(
        "--after", metavar="60s", type=sources.typed(age), help="how old a message has to be to be judged"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    console = None if options.json else terminal.console()
    with sources.opening(options.source) as source:
        rows = source.missing(sources.scope(source, options), options.after)
        if console is None:
            sources.print_rows(rows)
        else:
            from . import tables

            tables.missing(console, rows, sources.window_words(source, options))
    return 1 if any(row["state"] is not None for row in rows) else 0
