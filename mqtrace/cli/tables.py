"""Answers as tables: they fit 80 columns, say what the numbers are, and show names as text, whatever is in them."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mqtrace.flow import STATES, FlowRow, MissingRow, TraceRow

from .format import count, duration, printable

__all__ = ["flow", "missing", "traces"]

_WIDE = 110
_NOBODY = "(nobody)"
_UNKNOWN = "(not traced)"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def _name(text: str | None, none: str, style: str = "") -> Text:
    """A name of a span: characters that a terminal obeys are replaced, markup is text."""
    return Text(none, "dim") if text is None else Text(printable(text), style)


def _ms(value: float | None) -> Text:
    return Text("-", "dim") if value is None else Text(duration(round(value * 1e6)))


def _number(value: int, style: str = "") -> Text:
    return Text(f"{value:,}", style if value else "dim")


def flow(console: Console, rows: Sequence[FlowRow], window: str) -> None:
    """Pairs of sender and receiver."""
    console.print(Text(f"Who sends to whom: {window}", "bold"))
    if not rows:
        console.print(Text("No message was sent or taken."))
        return
    table = _table()
    table.add_column("sender > sent to > receiver", overflow="fold", min_width=16)
    for title in ("messages", "errors", "again", "dead", "wait\np50, p99", "work\np50, p99"):
        table.add_column(title, justify="right", no_wrap=True)
    wide = console.width >= _WIDE
    for row in rows:
        failed = row["errors"] + row["send_errors"]
        table.add_row(
            _path(row, wide),
            _number(row["messages"]),
            _number(failed, "red"),
            _number(row["retries"]),
            _number(row["dead_letters"], "red"),
            _ms(row["wait_p50_ms"]).append("\n").append_text(_ms(row["wait_p99_ms"])),
            _ms(row["work_p50_ms"]).append("\n").append_text(_ms(row["work_p99_ms"])),
        )
    console.print(table)
    console.print(
        Text(
            "errors: sends and attempts that failed; again: attempts after the first; dead: attempts at dead letters; "
            "wait: from the send to the first attempt; work: an attempt; p50, p99: half of them, 99 of 100 took at "
            "most that long.",
            "dim",
        )
    )


def _path(row: FlowRow, wide: bool) -> Text:
    """Sender, destination, receiver; the subscription where it has another name."""
    sent_to = row["sent_to"] or row["taken_from"]
    receiver = _name(row["receiver"], _NOBODY, "bold")
    if row["subscription"] is not None and row["subscription"] != row["receiver"]:
        receiver.append(f" ({printable(row['subscription'])})", "dim")
    between = " > " if wide else "\n > "
    path = _name(row["sender"], _UNKNOWN, "bold")
    for part in (_name(sent_to, _UNKNOWN, "cyan"), receiver):
        path.append(between, "dim").append_text(part)
    return path


def missing(console: Console, rows: Sequence[MissingRow], window: str) -> None:
    """Messages that were not processed, with what is known of each state."""
    console.print(Text(f"Sent and not processed: {window}", "bold"))
    if not rows:
        console.print(Text("Nothing is missing."))
        return
    table = _table()
    table.add_column("sent to", overflow="fold", min_width=10)
    table.add_column("owed by", overflow="fold", min_width=8)
    table.add_column("state", overflow="fold", min_width=9)
    table.add_column("messages", justify="right", no_wrap=True)
    table.add_column("oldest, and its trace", no_wrap=True)
    for row in rows:
        share = row["share"]
        state = Text(f"reads {share:.0%} of it", "dim") if share is not None else Text(row["state"] or "")
        table.add_row(
            _name(row["sent_to"], "", "cyan"),
            _name(row["subscription"], "", "bold"),
            state,
            _number(row["messages"]),
            Text(f"{row['oldest']}\n{row['example']}"),
        )
    console.print(table)
    for state_name in dict.fromkeys(row["state"] for row in rows):
        if state_name is not None:
            console.print(Text(f"{state_name}: {STATES[state_name]}.", "dim"))
    if any(row["share"] is not None for row in rows):
        console.print(Text("reads a share of it: a filter, so what it leaves is not called missing.", "dim"))


def traces(console: Console, rows: Sequence[TraceRow], window: str, order: str) -> None:
    """Traces of a list."""
    console.print(Text(f"The {order} traces: {window}", "bold"))
    if not rows:
        console.print(Text("No trace has all of that."))
        return
    table = _table()
    table.add_column("trace, and when it began (UTC)", no_wrap=True)
    table.add_column("first span, and services", overflow="fold", min_width=14)
    for title in ("duration", "spans", "errors"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        began = row["start"].replace("T", " ").removesuffix("Z")
        about = _name(row["root"] or None, "?", "bold")
        about.append(f"\n{', '.join(printable(service) for service in row['services'])}", "dim")
        table.add_row(
            Text(row["trace_id"]).append(f"\n{began}", "dim"),
            about,
            _ms(row["duration_ms"]),
            _number(row["spans"]),
            _number(row["errors"], "red"),
        )
    console.print(table)
    console.print(Text(f"{count(len(rows), 'trace')}; mqtrace trace SOURCE ID draws one.", "dim"))
