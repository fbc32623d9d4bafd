"""The rows of one trace in a database, and of the deliveries of other traces that took its messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mqtrace.flow.engine import Rows
from mqtrace.flow.questions.trace import MOST_SPANS
from mqtrace.otlp.columns import COLUMNS, LINK_COLUMNS
from mqtrace.otlp.columns_record import record
from mqtrace.otlp.records import SpanRecord

__all__ = ["Ask", "trace_records"]

#: Runs a query with its parameters.
Ask = Callable[[str, Mapping[str, Any]], Rows]

_SPANS: Final = (
    f"SELECT {', '.join(COLUMNS)} FROM span WHERE t_lo = $lo AND t_hi = $hi ORDER BY start_ns, span LIMIT $most"
)
_GUESTS: Final = f"""
SELECT {", ".join(COLUMNS)} FROM span WHERE role = 2 AND m_lo = $lo AND m_hi = $hi
UNION ALL
SELECT {", ".join(COLUMNS)} FROM span WHERE role = 3 AND NOT (t_lo = $lo AND t_hi = $hi)
  AND n IN (SELECT n FROM link WHERE m_lo = $lo AND m_hi = $hi)
LIMIT $most"""
_LINKS: Final = f"SELECT {', '.join(LINK_COLUMNS)} FROM link WHERE n IN $numbers ORDER BY n, place"


def trace_records(ask: Ask, trace_id: str) -> tuple[list[SpanRecord], list[SpanRecord], int]:
    """The spans of a trace, its guests, and how many spans were left out."""
    parameters = {"hi": int(trace_id[:16], 16), "lo": int(trace_id[16:], 16), "most": MOST_SPANS}
    rows = ask(_SPANS, parameters)
    if not rows:
        return [], [], 0
    omitted = 0
    if len(rows) == MOST_SPANS:
        (counted,) = ask("SELECT count(*) AS spans FROM span WHERE t_lo = $lo AND t_hi = $hi", parameters)
        omitted = int(counted["spans"]) - MOST_SPANS
    guests = ask(_GUESTS, parameters)
    links: dict[int, list[Mapping[str, Any]]] = {}
    numbers = [row["n"] for row in (*rows, *guests) if not row["linked"]]
    if numbers:
        for link in ask(_LINKS, {"numbers": numbers}):
            links.setdefault(link["n"], []).append(link)
    return (
        [record(row, links.get(row["n"], ())) for row in rows],
        [record(row, links.get(row["n"], ())) for row in guests],
        omitted,
    )
