"""What a source of answers is."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from .answers import ErrorRow, FailureRow, FlowRow, Map, MissingRow, State, StepRow, TraceAnswer, TraceRow
from .scope import Scope

__all__ = ["STATES", "Source", "TracesOrder"]

TracesOrder = Literal["newest", "slowest"]

#: The states of `missing`, the worst first, and what stands beside each. Never "lost": spans cannot show that.
STATES: Final = {
    "passed over": (
        "the group handled a later offset of the same partition: it was skipped, or handled outside a traced handler, "
        "or the consumer died with its spans unsent"
    ),
    "probably passed over": (
        "something sent later was handled, more than the horizon after this was sent; the queue says no offsets"
    ),
    "waiting": "nothing later was handled: it is still in the queue, or the consumer has stopped",
    "partition not read": "the group handled nothing of that partition in the window",
    "dead letter": "only a dead-letter handler has seen it",
}


class Source(Protocol):
    """Answers questions about spans. Every method may be called from any thread, also at the same time.

    Methods raise :class:`mqtrace.flow.SourceError` if the source cannot be read, or a question took longer than 10 s;
    without spans they return empty answers, never an error. Rows come in a fixed order, the largest or the worst first.
    """

    def state(self) -> State:
        """The state of the source; cheap enough for once a second. Never raises: an error is its ``trouble``."""
        ...

    def map(self, scope: Scope) -> Map:
        """All arrows between services and destinations, complete even where one side is not traced."""
        ...

    def flow(self, scope: Scope) -> list[FlowRow]:
        """Pairs of sender and receiver; filters hold for either side."""
        ...

    def missing(self, scope: Scope, after_s: float | None = None) -> list[MissingRow]:
        """Messages that were sent and not processed, older than ``after_s``; None: max(60 s, 10 x the p99 wait)."""
        ...

    def traces(
        self,
        scope: Scope,
        *,
        order: TracesOrder = "newest",
        errors: bool = False,
        attribute: tuple[str, str] | None = None,
        limit: int = 20,
    ) -> list[TraceRow]:
        """Traces with a span in the window, in which a matching service and a matching destination took part.

        ``errors``: one of its spans failed. ``attribute``: key and value (its text) of one of its spans. ``limit``: at
        most 1,000.
        """
        ...

    def trace(self, trace_id: str) -> TraceAnswer | None:
        """One trace by its id, 32 lowercase hex characters; None if there is no span of it.

        Batches of other traces that took its messages are among its spans, as guests.
        """
        ...

    def failures(self, scope: Scope) -> list[FailureRow]:
        """Retries and dead letters."""
        ...

    def errors(self, scope: Scope) -> list[ErrorRow]:
        """Sends and deliveries that failed, by what went wrong; both filters hold of one span."""
        ...

    def series(self, scope: Scope, steps: int = 60) -> list[StepRow]:
        """The window in equal steps, at most 1,000, the earliest first; both filters hold of one span.

        For an arrow of the map: its service and its destination as :func:`mqtrace.flow.scope.literal` patterns.
        """
        ...

    def close(self) -> None:
        """Close it; again does nothing."""
        ...
