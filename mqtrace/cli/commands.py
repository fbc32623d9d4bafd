"""The subcommands of ``mqtrace``, ``run`` excepted.

Each is a module with ``add_arguments`` and ``run``. What can go wrong outside ends as one sentence.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from mqtrace.flow import AskError, SourceError
from mqtrace.version import VERSION

from . import broker, demo, flow, missing, one_trace, run, schema, tail, traces, ui
from .trouble import CommandError

__all__ = ["main"]

# A disk that is full, over its quota or broken, and a file that is as long as it may be.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
_EPILOG = """\
Start with:
  mqtrace demo                                      a small shop, its traces drawn here; needs no broker
  mqtrace tail kafka://localhost:9092/otlp_spans    the traces of your own services
  mqtrace ui kafka://localhost:9092/otlp_spans      who sends to whom, what waits, what is missing: a page

In a service:
  mqtrace.configure("orders", exporter="kafka://localhost:9092/otlp_spans")
  producer = mqtrace.wrap(Producer({...}))

Or without a change of code:
  MQTRACE_EXPORTER=kafka://localhost:9092/otlp_spans mqtrace run python orders.py
"""


def main(argv: Sequence[str]) -> int:
    """Run a subcommand. ``argv``: without the program's name; its exit status is returned."""
    parser = argparse.ArgumentParser(
        prog="mqtrace",
        description="Traces that stay whole through message queues.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mqtrace {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("run", help=run.HELP, usage=run.USAGE)  # listed here, run by mqtrace.cli.main
    for command in (demo, tail, flow, missing, traces, one_trace, ui, schema, broker):
        command.add_arguments(commands)
    options = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a name must not end the command
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except (CommandError, SourceError, AskError) as error:
        print(f"mqtrace: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _abandon_output()  # its reader has gone
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _abandon_output()
        print(f"mqtrace: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 2


def _abandon_output() -> None:
    """The interpreter must not try to write the rest at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
