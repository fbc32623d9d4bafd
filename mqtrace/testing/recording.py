"""Finished spans in a list: for tests of code that uses mqtrace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mqtrace import otel
from mqtrace import tracer as tracers
from mqtrace.api import Tracer
from mqtrace.config import Settings, read
from mqtrace.core import NO_LIMIT, Clock, Span
from mqtrace.export.batch import COUNTS, DROP_REASONS
from mqtrace.tracer import SpanTracer

__all__ = ["Spans", "record"]


class Spans(list[Span]):
    """The finished spans, in the order in which they ended. ``tracer``: the tracer that made them."""

    tracer: Tracer

    def named(self, name: str) -> list[Span]:
        """The spans with this name."""
        return [span for span in self if span.name == name]


class ListProcessor:
    """A processor that keeps spans as they end, in the thread that ended them."""

    def __init__(self) -> None:
        self.queue: Spans = Spans()
        self.limit = NO_LIMIT

    @property
    def sink(self) -> ListProcessor:
        """Itself."""
        return self

    def overflow(self, span: Span) -> None:
        """Keep the span."""
        self.queue.append(span)

    def admit(self, span: Span, weight: int) -> None:
        """Keep the span."""
        self.queue.append(span)

    def start(self) -> None:
        """There is nothing to start."""

    def flush(self, timeout: float) -> bool:
        """Everything is here already."""
        return True

    def shutdown(self, timeout: float) -> bool:
        """Everything is here already."""
        return True

    def retire(self, timeout: float) -> None:
        """Everything is here already."""

    def stats(self) -> dict[str, Any]:
        """Every span counts as exported."""
        counts: dict[str, Any] = dict.fromkeys(COUNTS, 0)
        counts["spans_ended"] = counts["spans_exported"] = len(self.queue)
        return {**counts, "spans_dropped": dict.fromkeys(DROP_REASONS, 0)}


class _RecordingTracer(Tracer):
    """A Tracer made from settings, whose spans end in a list."""

    def __init__(self, settings: Settings, processor: ListProcessor, clock: Clock | None) -> None:
        SpanTracer.__init__(self, settings, processor, clock)
        otel.follow(settings.opentelemetry)


@contextmanager
def record(service: str = "test", *, clock: Clock | None = None, **settings: Any) -> Iterator[Spans]:
    """``with record() as spans:`` a list that gets every span as it ends.

    For the block, the default tracer records every trace into that list, whatever the environment says; objects
    that are wrapped already follow it. ``settings``: as for :func:`mqtrace.configure`. ``clock``: a :class:`FakeClock`.
    """
    processor = ListProcessor()
    settings.setdefault("sampler", 1.0)
    settings.setdefault("exporter", "none:")
    tracer = _RecordingTracer(read(service, environ={}, **settings), processor, clock)
    processor.queue.tracer = tracer
    before = tracers.set_default(tracer)
    try:
        yield processor.queue
    finally:
        tracers.set_default(before)
