"""A source over an engine, which answers each question in SQL."""

from __future__ import annotations

from .answers import ErrorRow, FailureRow, FlowRow, Map, MissingRow, StepRow, TraceAnswer, TraceRow
from .engine import Engine
from .questions import failures, flow, map, missing, series, trace, traces
from .scope import Scope
from .source import TracesOrder

__all__ = ["EngineSource"]


class EngineSource:
    """A :class:`mqtrace.flow.Source` without `state` and `close`, which a subclass has."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def map(self, scope: Scope) -> Map:
        """See :class:`mqtrace.flow.Source`."""
        return map.map_of(self.engine, scope)

    def flow(self, scope: Scope) -> list[FlowRow]:
        """See :class:`mqtrace.flow.Source`."""
        return flow.flow(self.engine, scope)

    def missing(self, scope: Scope, after_s: float | None = None) -> list[MissingRow]:
        """See :class:`mqtrace.flow.Source`."""
        return missing.missing(self.engine, scope, after_s)

    def traces(
        self,
        scope: Scope,
        *,
        order: TracesOrder = "newest",
        errors: bool = False,
        attribute: tuple[str, str] | None = None,
        limit: int = 20,
    ) -> list[TraceRow]:
        """See :class:`mqtrace.flow.Source`."""
        return traces.traces(self.engine, scope, order=order, errors=errors, attribute=attribute, limit=limit)

    def trace(self, trace_id: str) -> TraceAnswer | None:
        """See :class:`mqtrace.flow.Source`."""
        return trace.answered(trace_id, *self.engine.records(trace_id))

    def failures(self, scope: Scope) -> list[FailureRow]:
        """See :class:`mqtrace.flow.Source`."""
        return failures.failures(self.engine, scope)

    def errors(self, scope: Scope) -> list[ErrorRow]:
        """See :class:`mqtrace.flow.Source`."""
        return failures.errors(self.engine, scope)

    def series(self, scope: Scope, steps: int = 60) -> list[StepRow]:
        """See :class:`mqtrace.flow.Source`."""
        return series.series(self.engine, scope, steps)
