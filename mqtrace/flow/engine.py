"""What an engine is, which holds spans and takes SQL: the questions are written once, over its dialect.

A question is an f-string over a :class:`Dialect`; values are bound, never written into it: ``$name`` stands for a
parameter. SQL that differs from engine to engine is a method of the dialect. Relations are subqueries:

``spans``     trace, start_ns, end_ns, service, destination, failed, name, parent (NULL at a root)
``sent``      mt, ms (trace and span of the message's context), start_ns, duration_ns, service, destination, system,
              part, pos, failed, retry, delay_s, server, threshold, error_type
``received``  mt, ms, rid (the delivering span's own id), start_ns, duration_ns, service, destination, system, part,
              pos, subscription, failed, retry, latency_ms, dead, dead_queue, dead_reason, threshold, server,
              error_type, weak (1: the parent of a span that links to others; a message only where somebody sent that)

``failed``, ``dead`` and ``weak`` are 0 or 1; retry and delay_s are not NULL. Each has the spans that began at ``lo`` or
later and before ``hi``, which are names of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mqtrace.otlp.records import SpanRecord

__all__ = ["Dialect", "Engine", "Rows", "trace_hex"]

#: Rows by the names of their columns.
Rows = list[dict[str, Any]]


class Dialect(Protocol):
    """What differs from engine to engine."""

    def spans(self, lo: str = "lo", hi: str = "hi") -> str:
        """Every span."""
        ...

    def sent(self, lo: str = "lo", hi: str = "hi") -> str:
        """Sends of messages."""
        ...

    def received(self, lo: str = "lo", hi: str = "hi") -> str:
        """Deliveries of messages: each attempt at each message, those of batches one by one."""
        ...

    def arrived(self, lo: str = "lo", hi: str = "hi") -> str:
        """Deliveries, a batch as one row: destination, service, subscription, system, messages, start_ns, duration_ns,
        failed, retry, latency_ms, dead, dead_queue, threshold."""
        ...

    def quantile(self, share: float, expression: str) -> str:
        """The interpolated quantile (type 7) of values that are not NULL; NULL if there are none."""
        ...

    def first(self, expression: str, by: str) -> str:
        """The expression of the row with the least ``by``."""
        ...

    def last(self, expression: str, by: str) -> str:
        """The expression of the row with the greatest ``by``."""
        ...

    def some(self, expression: str) -> str:
        """The expression of any row of a group whose rows agree on it."""
        ...

    def messages(self) -> str:
        """The number of different (mt, ms) of a group."""
        ...

    def names(self, expression: str) -> str:
        """The different values of a group, as a list; NULL is not among them."""
        ...

    def queue(self, expression: str) -> str:
        """The part of a destination after its last ``:``."""
        ...

    def begins(self, text: str, beginning: str) -> str:
        """Whether a text begins with another."""
        ...

    def randomness(self, trace: str) -> str:
        """The last 56 bits of a trace id."""
        ...

    def with_attribute(self, key: str, value: str, lo: str = "lo", hi: str = "hi") -> tuple[str, Mapping[str, Any]]:
        """The traces that have a span with this attribute, as a relation of ``trace``, and its parameters."""
        ...


class Engine(Protocol):
    """Runs a question. Raises SourceError if it cannot, or after 10 s."""

    dialect: Dialect

    def rows(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """The rows, by the names of their columns. A parameter is an int, a float, a str, or a list of one of these."""
        ...

    def records(self, trace_id: str) -> tuple[list[SpanRecord], list[SpanRecord], int]:
        """The spans of a trace, those of other traces that took its messages, and how many were left out."""
        ...


def trace_hex(trace: Any) -> str:
    """A trace id of a row, which one engine has as a number and another as text."""
    return trace if isinstance(trace, str) else f"{trace:032x}"
