"""Send spans that wait for their delivery report, so that they end even if it never comes.

No report comes if the user never polls nor flushes, if the producer is closed or dropped before, and in a forked child.
The hot path appends; spans that have their report are released later, many at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from mqtrace.core import BatchSpan, SendSpan, after_fork
from mqtrace.tracer import SpanTracer

from .attributes import ERROR_TYPE
from .operation import Operation

__all__ = ["Pending"]

# How many are held before those that have ended are released.
_HELD: Final = 1024


class Pending:
    """The pending spans of one producer. The hot path appends to ``spans`` while it is shorter than ``limit``."""

    __slots__ = ("__weakref__", "_operation", "limit", "spans")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.spans: deque[SendSpan | BatchSpan] = deque()
        self.limit = _HELD
        _all.add(self)

    def attend(self) -> None:
        """Have the tracer end these spans: its upkeep those that have waited too long, its shutdown all of them."""
        tracer = self._operation.tracer
        tracer.pending_owners.add(self)
        tracer.processor.start()

    def hold(self, span: SendSpan | BatchSpan) -> None:
        """Hold a span until its report comes."""
        self.spans.append(span)
        if len(self.spans) >= self.limit:
            self.sweep()

    def sweep(self) -> None:
        """Release the spans that have ended."""
        self._each(lambda span: False)
        self.limit = max(_HELD, 2 * len(self.spans))

    def expire(self) -> None:
        """End the spans that have waited for their report longer than MQTRACE_REPORT_TIMEOUT."""
        tracer = self._operation.tracer
        oldest = tracer.pipeline.clock.now() - int(tracer.settings.report_timeout * 1e9)
        self._each(lambda span: span.begun_ns < oldest)

    def release(self, tracer: SpanTracer) -> None:
        """End every span of this tracer that still waits: it is about to be shut down."""
        self._each(lambda span: span.template.pipeline is tracer.pipeline)

    def abandon(self, why: str) -> None:
        """End all of them as errors: as far as is known their messages were not delivered."""
        while self.spans:
            span = self.spans.popleft()
            if not span.ended:
                span.set_attributes({ERROR_TYPE: "no_delivery_report"})
                span.set_status("error", why)
                span.end()

    def __del__(self) -> None:
        try:
            self.abandon("discarded before the delivery report")
        except Exception:  # noqa: BLE001, S110  # at the interpreter's exit anything may be missing, even the log
            pass

    def _each(self, ends: Callable[[SendSpan | BatchSpan], bool]) -> None:
        """End the spans for which ``ends`` returns True; keep the others that have not ended."""
        for _ in range(len(self.spans)):
            try:
                span = self.spans.popleft()
            except IndexError:  # another thread does the same at this moment
                return
            if span.ended:
                continue
            if ends(span):
                span.end()
            else:
                self.spans.append(span)


_all: WeakSet[Pending] = WeakSet()


def _after_fork() -> None:
    # The reports come to the parent, and so do its spans.
    for waiting in list(_all):
        waiting.spans.clear()


after_fork(_after_fork)
