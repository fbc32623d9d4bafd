"""Spans in the order of their arrival to traces, each returned once it seems complete.

Nothing in a trace says how many spans it has, and each service sends its own in batches, some seconds apart. So a trace
is taken for complete when its root has arrived and nothing new has come for a while; one whose root stays away, after
longer. If more of it comes later, it is returned once more. Memory is bounded by the number of traces.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mqtrace.otlp.records import SpanRecord
from mqtrace.otlp.trace import Trace

__all__ = ["Assembler"]

_MOST_OPEN: Final = 10_000
_MOST_REMEMBERED: Final = 1_000


class Assembler:
    """Puts spans together. A trace with a root is complete after ``quiet_seconds`` without a new span.

    One without a root is given up after ``give_up_seconds``, five times as long if left out. ``clock`` returns
    monotonic seconds.
    """

    def __init__(
        self,
        quiet_seconds: float,
        give_up_seconds: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        most_open: int = _MOST_OPEN,
    ) -> None:
        self.quiet_seconds = quiet_seconds
        self.give_up_seconds = 5 * quiet_seconds if give_up_seconds is None else give_up_seconds
        self._clock = clock
        self._most_open = most_open
        # In the order of the last arrival.
        self._open: OrderedDict[str, tuple[float, Trace]] = OrderedDict()
        self._completed: OrderedDict[str, Trace] = OrderedDict()

    def add(self, span: SpanRecord) -> None:
        """Take a span that has arrived."""
        self._arrive(span.trace_id, span)
        for trace_id in {link.trace_id for link in span.links} - {span.trace_id}:
            if trace_id not in self._completed:  # the batch is drawn as a trace of its own anyway
                self._arrive(trace_id, span)

    def _arrive(self, trace_id: str, span: SpanRecord) -> None:
        entry = self._open.pop(trace_id, None)
        if entry is not None:
            trace = entry[1]
        elif trace_id in self._completed:
            trace = self._completed.pop(trace_id)
            trace.late = True
        else:
            trace = Trace(trace_id)
        trace.add(span)
        self._open[trace_id] = self._clock(), trace

    def due(self) -> list[Trace]:
        """The traces that seem complete by now, each once."""
        now = self._clock()
        ready: list[Trace] = []
        excess = len(self._open) - self._most_open
        for arrived, trace in list(self._open.values()):
            quiet = now - arrived
            if excess <= 0 and quiet < self.quiet_seconds:
                break
            if excess > 0 or quiet >= self.give_up_seconds or (quiet >= self.quiet_seconds and trace.root is not None):
                ready.append(trace)
                excess -= 1
        return self._complete(ready)

    def rest(self) -> list[Trace]:
        """Every trace that is still open, at the end."""
        return self._complete([trace for _, trace in self._open.values()])

    def _complete(self, traces: list[Trace]) -> list[Trace]:
        for trace in traces:
            del self._open[trace.trace_id]
            if trace.spans:  # nothing but a link to a trace of which nothing came
                self._completed[trace.trace_id] = trace
        while len(self._completed) > _MOST_REMEMBERED:
            self._completed.popitem(last=False)
        return sorted((trace for trace in traces if trace.spans), key=lambda trace: trace.start)
