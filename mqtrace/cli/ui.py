"""``mqtrace ui``: the page, on spans that go on coming."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from mqtrace.flow import AskError, Source
from mqtrace.flow.ask import seconds
from mqtrace.flow.opening import HOUR_S, KINDS, is_filled, opened, reader_of

from . import sources, terminal
from .trouble import CommandError

__all__ = ["add_arguments", "run", "show"]

_DESCRIPTION = f"""\
Shows the spans of SOURCE on a page: who sends to whom, traces, what is missing, what failed. A topic or a file is read
on and on, into a DuckDB file. It prints its address, and goes on until Ctrl-C.

SOURCE: {KINDS}."""
_EPILOG = """\
examples:
  mqtrace ui kafka://localhost:9092/otlp_spans
  mqtrace ui kafka://localhost:9092/otlp_spans --db spans.duckdb --keep 7d --max-size 50GB

exit status: 0, or 2 when SOURCE cannot be read or the address is taken
"""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = commands.add_parser(
        "ui",
        help="show spans on a page, live",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="where the spans are")
    parser.add_argument("--db", metavar="FILE", type=Path, help="keep the spans there, and go on from there next time")
    parser.add_argument(
        "--keep", metavar="24h", type=sources.typed(seconds), help="how old a span may get (24h); of a topic or a file"
    )
    parser.add_argument(
        "--max-size", metavar="10GB", type=sources.typed(_size), help="how large the file may get (10GB)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8765, help="0 takes a free one (8765)")
    parser.set_defaults(run=run)


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    size = round(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size <= 0:
        raise AskError(f"{text!r} is not a size: write 500MB or 10GB")
    return size


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write one from 1 to 65535, or 0 for a free one")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    show(_opened(options), options.host, options.port)
    return 0


def _opened(options: argparse.Namespace) -> Source:
    if not is_filled(options.source):
        for name in ("db", "keep", "max_size"):
            if getattr(options, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise CommandError(f"{option} is for a topic or a file, which are read into a file: leave it out")
        return opened(options.source)
    reader = reader_of(options.source)
    from mqtrace.flow.store.filled import FilledSource

    source = FilledSource(
        reader,
        options.db,
        keep_s=options.keep or 86_400.0,
        most_bytes=options.max_size or 10 * 10**9,
        window_s=HOUR_S,
    )
    source.follow()
    return source


def show(source: Source, host: str = "127.0.0.1", port: int = 8765) -> None:
    """The page of a source, until Ctrl-C; the source is closed."""
    try:
        try:
            from mqtrace.flow.page import serve
        except ImportError as error:
            raise CommandError("the page needs starlette and uvicorn: pip install 'mqtrace[ui]'") from error
        try:
            serve(source, host=host, port=port, started=_say)
        except KeyboardInterrupt:
            terminal.say("ended")
    finally:
        source.close()


def _say(line: str) -> None:
    print(line, flush=True)
