"""What the demo shows at its end: a selection of its traces, the sums, and how to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mqtrace.cli.format import count
from mqtrace.cli.waterfall import Waterfall
from mqtrace.otlp.trace import Trace

from . import questions
from .runner import Outcome
from .sums import summary

__all__ = ["draw", "selection"]


def selection(traces: Sequence[Trace], broken: Mapping[str, object]) -> list[tuple[str, Trace]]:
    """One trace of each sort with a title, the broken ones first: nobody reads a hundred."""
    sorts: list[tuple[str, Callable[[Trace], bool]]] = [
        ("a broken trace", lambda trace: trace.trace_id in broken),
        (
            "an order, from the front to the batch that shipped it",
            lambda trace: bool(trace.guests) and not (trace.errors or _is_retried(trace) or _is_dead_letter(trace)),
        ),
        ("an order that was refused", lambda trace: bool(trace.errors)),
        ("a receipt that was retried: attempts side by side, each linked to the one before", _is_retried),
        ("mail that came back: a dead letter", _is_dead_letter),
        ("an order that was withdrawn: a message without a value", _has_tombstone),
        ("a batch, with a link to every message in it", lambda trace: trace.first.batch_count is not None),
    ]
    chosen: list[tuple[str, Trace]] = []
    for title, fits in sorts:
        # The first ones of a run wait for connections and caches: the middle says more.
        fitting = [trace for trace in traces if fits(trace)]
        if fitting:
            chosen.append((title, fitting[len(fitting) // 2]))
    return chosen


def _has_tombstone(trace: Trace) -> bool:
    return any(span.is_tombstone for span in trace.spans.values())


def _is_retried(trace: Trace) -> bool:
    return any(span.retries for span in trace.spans.values())


def _is_dead_letter(trace: Trace) -> bool:
    return any(span.is_dead_letter for span in trace.spans.values())


def draw(
    console: Console,
    outcome: Outcome,
    broken: Mapping[str, Sequence[str]],
    problems: Sequence[str],
    left_out: Sequence[str] = (),
) -> None:
    """The selection, the sums, what is wrong, what was left out, and how to go on."""
    waterfall = Waterfall(console)
    console.print()
    for title, trace in selection(outcome.traces, broken):
        console.print(Text(title, "bold yellow"))
        waterfall.draw(trace)
    sums = summary(outcome, broken, problems)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    sent = ", ".join(f"{role} {number}" for role, number in outcome.sent.items() if number)
    table.add_row("messages", f"{sums['messages_sent']} sent ({sent}), {sums['messages_processed']} processed")
    table.add_row("spans", f"{sums['spans_exported']} exported, {sums['spans']} on the span topic")
    if foreign_spans := sum(outcome.foreign_spans.values()):
        sentence = f"{foreign_spans} of the spans are its own: the front's requests, above our messages"
        table.add_row("OpenTelemetry", sentence)
    whole = sums["traces_whole"] == sums["traces"]
    table.add_row("traces", Text(f"{sums['traces']}, {sums['traces_whole']} whole", "green" if whole else "red"))
    dropped = sums["spans_dropped"]
    table.add_row("drops", Text(count(dropped, "span"), "red" if dropped else "green"))
    cost = outcome.cost
    table.add_row(
        "added cost",
        f"{cost['added']:.1f} us a message: {cost['bare']:.1f} us bare, {cost['wrapped']:.1f} us wrapped\n"
        "produce and its delivery report, CPU of the calling thread,\n"
        f"median of slices that take turns, {cost['messages']:.0f} messages each way",
    )
    table.add_row("took", f"{outcome.seconds:.1f} s")
    console.print(table)
    console.print()
    questions.answer(console, outcome.traces)
    shown = sums["problems"][:10]
    for sentence in shown:
        console.print(Text(f"broken: {sentence}", "red"))
    if len(sums["problems"]) > len(shown):
        console.print(Text(f"and {len(sums['problems']) - len(shown)} more", "red"))
    for sentence in left_out:
        console.print(Text(sentence, "yellow"))
    if not shown:
        _go_on(console)


def _go_on(console: Console) -> None:
    steps = Table.grid(padding=(0, 2))
    steps.add_row(Text("the same on your broker"), Text("mqtrace demo --bootstrap localhost:9092", "cyan"))
    steps.add_row(Text("your services' traces"), Text("mqtrace tail kafka://localhost:9092/otlp_spans", "cyan"))
    steps.add_row(Text("the same on a page"), Text("mqtrace demo --ui", "cyan"))
    steps.add_row(Text("the shop, to copy from"), Text(str(Path(__file__).with_name("shop.py")), "cyan"))
    console.print(Text("go on", "bold"))
    console.print(steps)
