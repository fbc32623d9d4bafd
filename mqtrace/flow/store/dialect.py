"""The dialect of DuckDB, over the tables of schema.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from mqtrace.otlp.columns import ATTRIBUTES

__all__ = ["DuckDialect"]

_FAILED: Final = "(status = 2)::TINYINT AS failed"
_DEAD: Final = "(coalesce(dead, 0) > 0 OR dead_queue IS NOT NULL)::TINYINT AS dead"


def _within(lo: str, hi: str, of: str = "") -> str:
    return f"{of}start_ns >= ${lo} AND {of}start_ns < ${hi}"


class DuckDialect:
    """A :class:`mqtrace.flow.engine.Dialect`."""

    def spans(self, lo: str = "lo", hi: str = "hi") -> str:
        """Every span."""
        return (
            f"(SELECT {_TRACE} AS trace, parent, start_ns, start_ns + greatest(duration_ns, 0) AS end_ns, service, "
            f"destination, {_FAILED}, name FROM span WHERE {_within(lo, hi)})"
        )

    def sent(self, lo: str = "lo", hi: str = "hi") -> str:
        """Sends."""
        return (
            f"(SELECT {_MESSAGE_TRACE} AS mt, coalesce(m_span, span) AS ms, start_ns, duration_ns, service, "
            f"destination, system, part, pos, {_FAILED}, coalesce(retry, 0) AS retry, coalesce(delay_s, 0) AS delay_s, "
            f"server, threshold, error_type FROM span WHERE role = 1 AND {_within(lo, hi)})"
        )

    def received(self, lo: str = "lo", hi: str = "hi") -> str:
        """Deliveries."""
        shared = (
            "n AS rid, start_ns, greatest(duration_ns, 0) AS duration_ns, service, destination, system, part, pos, "
            f"{self._subscription()} AS subscription, {_FAILED}, coalesce(retry, 0) AS retry, "
            f"CASE WHEN role = 2 THEN latency_ms END AS latency_ms, {_DEAD}, dead_queue, dead_reason, threshold, "
            "server, error_type"
        )
        return (
            f"(SELECT {_MESSAGE_TRACE} AS mt, coalesce(m_span, parent) AS ms, {shared}, 0::TINYINT AS weak "
            f"FROM span WHERE role = 2 AND {_within(lo, hi)} "
            f"UNION ALL SELECT mt, ms, {shared}, 0::TINYINT FROM ("
            "SELECT s.* REPLACE (coalesce(l.destination, s.destination) AS destination, "
            "coalesce(l.part, s.part) AS part, coalesce(l.pos, s.pos) AS pos), "
            "(l.m_hi::UHUGEINT << 64) | l.m_lo AS mt, l.m_span AS ms "
            f"FROM (SELECT * FROM span WHERE role = 3 AND {_within(lo, hi)}) s "
            f"JOIN (SELECT * FROM link WHERE {_within(lo, hi)}) l ON l.n = s.n "
            "WHERE l.rest IS NULL OR NOT contains(l.rest, '\"celery.retries\"')) "
            f"UNION ALL SELECT {_TRACE}, parent, {shared}, 1::TINYINT "
            "FROM span WHERE role = 2 AND (m_span IS NOT NULL OR m_lo IS NOT NULL) AND parent IS NOT NULL "
            f"AND {_within(lo, hi)})"
        )

    def arrived(self, lo: str = "lo", hi: str = "hi") -> str:
        """Deliveries, a batch as one row."""
        return (
            f"(SELECT destination, service, {self._subscription()} AS subscription, system, "
            "CASE WHEN role = 3 THEN coalesce(batch, (SELECT count(*) FROM link WHERE link.n = span.n)) ELSE 1 END "
            f"AS messages, start_ns, greatest(duration_ns, 0) AS duration_ns, {_FAILED}, coalesce(retry, 0) AS retry, "
            f"latency_ms, {_DEAD}, dead_queue, threshold FROM span WHERE role IN (2, 3) AND {_within(lo, hi)})"
        )

    def _subscription(self) -> str:
        return (
            "coalesce(consumer_group, CASE WHEN system = 'kafka' THEN service END, "
            f"{self.queue('destination')}, service)"
        )

    def quantile(self, share: float, expression: str) -> str:
        """Interpolated."""
        return f"quantile_cont({expression}, {share})"

    def first(self, expression: str, by: str) -> str:
        """arg_min."""
        return f"arg_min({expression}, {by})"

    def last(self, expression: str, by: str) -> str:
        """arg_max."""
        return f"arg_max({expression}, {by})"

    def some(self, expression: str) -> str:
        """any_value passes over NULL."""
        return f"any_value({expression})"

    def messages(self) -> str:
        """By a hash of 64 bits: one of a million messages is counted too few once in 30 million times."""
        return "count(DISTINCT hash(mt, ms))"

    def names(self, expression: str) -> str:
        """A list."""
        return f"list(DISTINCT {expression}) FILTER ({expression} IS NOT NULL)"

    def queue(self, expression: str) -> str:
        """The last part."""
        return f"CASE WHEN contains({expression}, ':') THEN split_part({expression}, ':', -1) ELSE {expression} END"

    def begins(self, text: str, beginning: str) -> str:
        """starts_with."""
        return f"starts_with({text}, {beginning})"

    def randomness(self, trace: str) -> str:
        """The trace id is a number here."""
        return f"({trace} & 72057594037927935::UHUGEINT)::UBIGINT"

    def with_attribute(self, key: str, value: str, lo: str = "lo", hi: str = "hi") -> tuple[str, Mapping[str, Any]]:
        """In its column, or in the JSON of the rest."""
        member = json.dumps(key, ensure_ascii=False) + ":"
        path = "/a/" + key.replace("~", "~0").replace("/", "~1")
        condition = "contains(rest, $attribute_told) AND json_extract_string(rest, $attribute_path) = $attribute_value"
        column = ATTRIBUTES.get(key)
        if column is not None:
            condition = f"{column[0]}::VARCHAR = $attribute_value OR ({condition})"
        return (
            f"(SELECT DISTINCT {_TRACE} AS trace FROM span WHERE ({condition}) AND {_within(lo, hi)})",
            {"attribute_told": member, "attribute_path": path, "attribute_value": value},
        )


_TRACE: Final = "((t_hi::UHUGEINT << 64) | t_lo)"
_MESSAGE_TRACE: Final = f"CASE WHEN m_lo IS NULL THEN {_TRACE} ELSE (m_hi::UHUGEINT << 64) | m_lo END"
