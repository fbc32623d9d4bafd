"""``mqtrace trace``: one trace, drawn as ``mqtrace tail`` draws it."""

from __future__ import annotations

import argparse

from mqtrace.flow.ask import trace_id
from mqtrace.flow.opening import KINDS
from mqtrace.flow.questions.trace import assembled

from . import sources, terminal

__all__ = ["add_arguments", "run"]

_DESCRIPTION = f"""\
Draws one trace, with the batches of other traces that took its messages.

SOURCE: {KINDS}."""
_EPILOG = """\
example:
  mqtrace trace kafka://localhost:9092/otlp_spans 0af7651916cd43dd8448eb211c80319c

exit status: 0, or 1 when no span of it is there, or 2 when SOURCE cannot be read or ID is not a trace id
"""
_KEYS = ("trace_id", "span_id", "parent_id", "service", "name", "kind", "start", "duration_ms", "attributes")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = commands.add_parser(
        "trace",
        help="draw one trace",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="where the spans are")
    parser.add_argument("id", metavar="ID", type=sources.typed(trace_id), help="32 hexadecimal digits")
    parser.add_argument("--json", action="store_true", help="a span a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    drawn = None if options.json else terminal.waterfall()
    with sources.opening(options.source) as source:
        answer = source.trace(options.id)
    if answer is None:
        terminal.say(f"there is no span of trace {options.id}")
        return 1
    if drawn is None:
        sources.print_rows({key: span[key] for key in _KEYS} for span in answer["spans"])  # type: ignore[literal-required]  # _KEYS are of them
    else:
        drawn.draw(assembled(answer))
    return 0
