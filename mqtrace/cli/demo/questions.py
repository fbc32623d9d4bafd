"""What the demo saw, in the words of ``mqtrace flow`` and ``mqtrace missing``, and on the page."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from mqtrace.cli import tables
from mqtrace.flow import Scope
from mqtrace.flow.trouble import SourceError
from mqtrace.otlp.trace import Trace

__all__ = ["answer", "page"]

#: Every message was waited for, so that what is older than a moment and not processed is missing.
_AFTER_S = 0.001
_WINDOW = "the demo's run"
_PORT: Final = 8765


def answer(console: Console, traces: Sequence[Trace]) -> None:
    """The two tables. Where DuckDB is not installed, what to install."""
    try:
        from mqtrace.flow.store.kept import KeptSource

        source = KeptSource((span for trace in traces for span in trace.spans.values()), _WINDOW)
    except SourceError as error:
        console.print(Text(str(error), "yellow"))
        return
    try:
        tables.flow(console, source.flow(Scope()), _WINDOW)
        console.print()
        tables.missing(console, source.missing(Scope(), _AFTER_S), f"{_WINDOW}, which leaves some on purpose")
        console.print()
    finally:
        source.close()


def page(traces: Sequence[Trace]) -> None:
    """The page on the demo's spans, until Ctrl-C. Raises CommandError, SourceError."""
    from mqtrace.cli.ui import show
    from mqtrace.flow.store.kept import KeptSource

    source = KeptSource((span for trace in traces for span in trace.spans.values()), "mqtrace demo")
    show(source, port=_PORT if _is_free(_PORT) else 0)


def _is_free(port: int) -> bool:
    """Whether no other page, of the services' own spans, is there already."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
