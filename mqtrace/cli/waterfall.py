"""Traces as waterfalls in a terminal, drawn with rich: a line a span, and a bar for when it ran.

Columns get their width from what is in them and from the terminal: under 110 columns the destination stays in the
span's name. What a topic holds is not trusted: characters that a terminal obeys are not passed on to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mqtrace.otlp.records import LinkRecord, SpanRecord
from mqtrace.otlp.trace import Row, Trace

from .format import count, duration, printable

__all__ = ["Waterfall"]

_WIDE: Final = 110
_NARROWEST: Final = 60
_MOST_LINKS: Final = 4
_LINK_FACTS: Final = {
    "messaging.destination.name": "",
    "messaging.destination.partition.id": "partition ",
    "messaging.kafka.offset": "offset ",
}
_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


class Glyphs:
    """What lines are drawn with; ASCII where the output can hold nothing else."""

    def __init__(self, ascii_only: bool) -> None:
        self.bar, self.left_half, self.right_half, self.wait = "=-->" if ascii_only else "━╸╺┄"
        if ascii_only:
            self.left_half = self.right_half = "="
            self.wait = "."
        self.branch, self.corner, self.trunk = ("|- ", "`- ", "|  ") if ascii_only else ("├─ ", "└─ ", "│  ")
        self.cross, self.link, self.guest = ("x ", "-> ", "<- ") if ascii_only else ("✗ ", "↪ ", "⇠ ")
        self.rule, self.more, self.none = ("-", "...", "-") if ascii_only else ("─", "…", "·")


class Waterfall:
    """Draws traces on a console; a service keeps its colour from trace to trace."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._glyphs = Glyphs(console.options.ascii_only)
        self._colours: dict[str, str] = {}

    def draw(self, trace: Trace) -> None:
        """One trace, with an empty line after it."""
        for line in self.lines(trace):
            self._console.print(line, no_wrap=True, crop=True, overflow="crop", highlight=False, soft_wrap=False)
        self._console.print()

    def lines(self, trace: Trace) -> Iterator[Text]:
        """The lines of a trace, none wider than the console."""
        width = max(_NARROWEST, self._console.width)
        rows = list(trace.rows())
        columns = _Columns(trace, rows, width, self._glyphs)
        yield from self._header(trace, width)
        yield columns.titles()
        for row in rows:
            colour = self._colour(row.span.service)
            yield columns.row(row, colour)
            yield from self._notes(trace, row, columns, width)
        if trace.omitted:
            yield Text(f"{trace.omitted} spans more are not shown", "dim")

    def _colour(self, service: str | None) -> str:
        return self._colours.setdefault(service or "?", _COLOURS[len(self._colours) % len(_COLOURS)])

    def _header(self, trace: Trace, width: int) -> Iterator[Text]:
        first = trace.first
        errors = len(trace.errors)
        right = Text()
        right.append(duration(trace.duration), "bold")
        right.append(f"  {count(len(trace.spans), 'span')}  {count(len(trace.services), 'service')}")
        if errors:
            right.append(f"  {self._glyphs.cross}{count(errors, 'error')}", "bold red")
        left = Text(printable(first.name) or "?", "bold")
        left.append(f"  {printable(first.service or '?')}", self._colour(first.service))
        left.append(" ")
        left.truncate(max(8, width - right.cell_len - 3), overflow="ellipsis")
        left.append(self._glyphs.rule * max(1, width - left.cell_len - right.cell_len - 1), "dim")
        yield left.append(" ").append_text(right)
        began = datetime.fromtimestamp(trace.start // 10**9 % 10**10, UTC)
        below = Text(f"{trace.trace_id}  {began:%Y-%m-%d %H:%M:%S}.{trace.start // 10**6 % 1000:03d} UTC", "dim")
        if trace.root is None:
            below.append("  the root has not arrived", "yellow")
        elif trace.late:
            below.append("  more of it came later", "yellow")
        yield below

    def _notes(self, trace: Trace, row: Row, columns: _Columns, width: int) -> Iterator[Text]:
        """What stands below a span: that its parent is missing, its error, its links to other spans."""
        span, glyphs = row.span, self._glyphs
        notes: list[Text] = []
        if row.orphan:
            notes.append(Text(f"its parent {span.parent_id} has not arrived", "yellow"))
        if span.error is not None:
            notes.append(Text(glyphs.cross + printable(span.error), "red"))
        links = [link for link in span.links if not _is_parent(span, link)]
        if row.guest:
            here = sum(link.trace_id == trace.trace_id for link in links)
            notes.append(Text(f"{here} of its {count(len(links), 'link')}; trace {span.trace_id}", "dim"))
        else:
            notes += [self._link(trace, link) for link in links[:_MOST_LINKS]]
            if len(links) > _MOST_LINKS:
                notes.append(Text(f"{glyphs.more} {count(len(links) - _MOST_LINKS, 'link')} more", "dim"))
        for note in notes:
            line = columns.indent(row).append_text(note)
            line.truncate(width, overflow="ellipsis")
            yield line

    def _link(self, trace: Trace, link: LinkRecord) -> Text:
        parts = [
            title + printable(str(link.attributes[key])) for key, title in _LINK_FACTS.items() if key in link.attributes
        ]
        linked_span = trace.spans.get(link.span_id) if link.trace_id == trace.trace_id else None
        parts.append(f"{printable(linked_span.name)} of this trace" if linked_span else f"trace {link.trace_id}")
        return Text(self._glyphs.link + "  ".join([*parts, f"span {link.span_id}"]), "dim")


class _Columns:
    """The table of one trace: what stands in which column, and how wide each is."""

    def __init__(self, trace: Trace, rows: list[Row], width: int, glyphs: Glyphs) -> None:
        self._trace, self._glyphs = trace, glyphs
        self._wide = width >= _WIDE
        spans = [row.span for row in rows]
        self._begin, self._duration = trace.start, trace.duration
        for span in spans:
            if span.start:
                self._begin = min(self._begin, span.start - self._waited(span))
        self._scale = max(1, max(span.end for span in spans) - self._begin)
        names = max(cell_len(self._tree(row)) + self._name(row).cell_len for row in rows)
        self._service = self._fit("service", [span.service or "?" for span in spans], 18 if self._wide else 12)
        to = [span.destination or "" for span in spans]
        self._destination = self._fit("destination", to, 28) if self._wide and any(to) else 0
        partition_title = "partition" if self._wide else "part"
        self._partition_title = partition_title
        partitions = [span.partition or "" for span in spans]
        self._partition = self._fit(partition_title, partitions, 9) if any(partitions) else 0
        self._queue = 8 if any(trace.queued(span) for span in spans) else 0
        self._time = 9
        self._gap = 2 if self._wide else 1
        column_widths = (self._service, self._destination, self._partition, self._queue, self._time)
        rest = width - sum(size + self._gap for size in column_widths if size) - self._gap
        least = max(12, rest // 3) if self._wide else 12
        self._operation = max(16, min(names, rest - least))
        self._bar = max(8, min(rest - self._operation, 60))

    def _fit(self, title: str, texts: list[str], most: int) -> int:
        return min(most, max(cell_len(title), *(cell_len(printable(text)) for text in texts)))

    def titles(self) -> Text:
        """The line above the spans; over the bars it has the scale."""
        scale = Text("0", "dim")
        end = duration(self._scale)
        scale.append(" " * max(1, self._bar - 1 - cell_len(end))).append(end)
        return self._line(
            Text("operation", "dim"),
            Text("service", "dim"),
            Text("destination", "dim"),
            Text(self._partition_title, "dim"),
            Text("in queue", "dim"),
            Text("duration", "dim"),
            scale,
        )

    def row(self, row: Row, colour: str) -> Text:
        """The line of a span."""
        span, none = row.span, self._glyphs.none
        operation = Text(self._tree(row), "dim").append_text(self._name(row))
        queued = self._trace.queued(span)
        waited = none if queued is None else ("" if queued[1] else "~") + duration(round(queued[0] * 1e6))
        return self._line(
            operation,
            Text(printable(span.service or "?"), colour),
            Text(printable(span.destination or none), "" if span.destination else "dim"),
            Text(printable(span.partition or none), "" if span.partition else "dim"),
            Text(waited, "dim" if queued is None else ""),
            Text(duration(span.duration), "red" if span.status == "error" else ""),
            self._drawn(span, "red" if span.status == "error" else colour, row.guest),
        )

    def indent(self, row: Row) -> Text:
        """What stands before a note below a span: the tree goes on beside it."""
        tree = "".join("   " if last else self._glyphs.trunk for last in row.last)
        return Text(tree + "   ", "dim")

    def _line(self, *cells: Text) -> Text:
        sizes = (self._operation, self._service, self._destination, self._partition, self._queue, self._time, self._bar)
        line = Text(no_wrap=True)
        for place, (cell, size) in enumerate(zip(cells, sizes, strict=True)):
            if not size:
                continue
            cell.truncate(size, overflow="ellipsis")
            filler = " " * (size - cell.cell_len)
            if place in (3, 4, 5):
                line.append(filler).append_text(cell)
            else:
                line.append_text(cell).append(filler)
            if place < len(sizes) - 1:
                line.append(" " * self._gap)
        line.rstrip()
        return line

    def _tree(self, row: Row) -> str:
        if not row.last:
            return ""
        stem = "".join("   " if last else self._glyphs.trunk for last in row.last[:-1])
        return stem + (self._glyphs.corner if row.last[-1] else self._glyphs.branch)

    def _name(self, row: Row) -> Text:
        """Operation and destination; the destination only where it has no column of its own."""
        span = row.span
        name, to = printable(span.name) or "?", printable(span.destination or "")
        text = Text(self._glyphs.guest if row.guest else "", "dim")
        if to and name.endswith(f" {to}"):
            name = name.removesuffix(f" {to}")
        elif self._wide or not to:
            to = ""
        text.append(name, "bold" if not row.last else "")
        if to and not self._wide:
            text.append(f" {to}", "bold cyan" if not row.last else "cyan")
        if span.is_tombstone:
            text.append(" (tombstone)", "yellow")
        if span.batch_count is not None:
            text.append(f" (batch of {span.batch_count})", "yellow")
        if span.retries:
            text.append(f" (retry {span.retries})", "yellow")
        if span.is_dead_letter:
            text.append(" (dead letter)", "yellow")
        if row.guest:
            text.stylize("italic")
        return text

    def _waited(self, span: SpanRecord) -> int:
        queued = self._trace.queued(span)
        if queued is None:
            return 0
        # A backlog of hours would leave no room for anything else.
        waited = min(round(queued[0] * 1e6), 4 * self._duration)
        sender = self._trace.spans.get(span.parent_id or "")
        # Brokers' timestamps are whole milliseconds: the wait must not seem to begin before the send.
        return waited if sender is None else max(0, min(waited, span.start - sender.start))

    def _drawn(self, span: SpanRecord, colour: str, guest: bool) -> Text:
        """The bar, to half a cell, and before it the time that the message waited."""
        halves = 2 * self._bar
        first = self._at(span.start, halves - 1)
        last = max(first + 1, self._at(span.end, halves))
        bar = Text(" " * (first // 2))
        waited = self._waited(span)
        if waited:
            begun = self._at(span.start - waited, halves) // 2
            bar = Text(" " * begun).append(self._glyphs.wait * (first // 2 - begun), "dim")
        style = f"dim {colour}" if guest else colour
        if first % 2:
            bar.append(self._glyphs.right_half, style)
            first += 1
        bar.append(self._glyphs.bar * max(0, last // 2 - first // 2), style)
        if last % 2 and last > first:
            bar.append(self._glyphs.left_half, style)
        return bar

    def _at(self, time: int, most: int) -> int:
        return max(0, min(most, (time - self._begin) * 2 * self._bar // self._scale))


def _is_parent(span: SpanRecord, link: LinkRecord) -> bool:
    """Whether a link leads to the span's parent, which the tree shows already: process spans link to their message."""
    return link.trace_id == span.trace_id and link.span_id == span.parent_id
