"""The dialect of ClickHouse, over the Collector's table ``otel_traces`` (clickhouseexporter).

Attributes are a Map of texts, or of the type JSON: ``attribute`` says how one is read. What came twice (the exporter
retries) is left out by ``LIMIT 1 BY``. What a row means is what :mod:`mqtrace.otlp.columns_record` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mqtrace.otlp.columns import ATTRIBUTES, LEGACY, LEGACY_OPERATIONS

__all__ = ["ClickHouseDialect"]

_ONCE: Final = "LIMIT 1 BY TraceId, SpanId"
_FAILED: Final = "toInt64(StatusCode = 'Error')"


class ClickHouseDialect:
    """A :class:`mqtrace.flow.engine.Dialect`. ``table``: its name, quoted. ``is_json``: of attributes that are JSON."""

    def __init__(self, table: str, is_json: bool) -> None:
        self._table = table
        self._is_json = is_json

    # ---------------------------------------------------------------- attributes

    def _attribute(self, key: str) -> str:
        """An attribute of the span as text; NULL where it has none."""
        name = key.replace("`", "")
        return (
            f"nullIf(toString(SpanAttributes.`{name}`), '')"
            if self._is_json
            else f"nullIf(SpanAttributes['{key}'], '')"
        )

    def _of_link(self, link: str, key: str) -> str:
        """An attribute of a link, in a lambda."""
        if not self._is_json:
            return f"{link}['{key}']"
        path = ", ".join(f"'{part}'" for part in key.split("."))
        return f"trim(BOTH '\"' FROM JSONExtractRaw(toJSONString({link}), {path}))"

    def _column(self, column: str) -> str:
        """A column of ours, from the attributes of all names that it has had."""
        names = [key for key, (name, _) in ATTRIBUTES.items() if name == column]
        texts = [self._attribute(key) for key in names]
        for key, older in LEGACY.items():
            if older == column:
                text = self._attribute(key)
                if column == "operation":
                    was, now = (", ".join(f"'{word}'" for word in words) for words in _renamed())
                    text = f"transform({text}, [{was}], [{now}], {text})"
                texts.append(text)
        kind = next(wanted for name, wanted in ATTRIBUTES.values() if name == column)
        text = f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0]
        if kind is int:
            return f"toInt64OrNull({text})"
        if kind is float:
            return f"if(toFloat64OrNull({text}) >= 0, toFloat64OrNull({text}), NULL)"
        return text

    def _base(self, lo: str, hi: str, condition: str) -> str:
        """Rows of messages: columns by our names."""
        start = "toUnixTimestamp64Nano(Timestamp)"
        digits = "extract(TraceState, '(?:^|,)\\\\s*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?:;|,|$)')"
        threshold = (
            f"if({digits} = '', NULL, reinterpretAsUInt64(reverse(unhex(rightPad(concat('00', {digits}), 16, '0')))))"
        )
        columns = ", ".join(
            f"{self._column(name)} AS {name}"
            for name in (
                "system", "operation", "destination", "part", "pos", "consumer_group", "batch", "latency_ms",
                "dead_queue", "dead_reason", "server", "error_type",
            )
        )  # fmt: skip
        return (
            f"(SELECT TraceId, SpanId, ParentSpanId, SpanKind, {start} AS start_ns, toInt64(Duration) AS duration_ns, "
            f"nullIf(ServiceName, '') AS service, {_FAILED} AS failed, {columns}, "
            f"coalesce({self._column('retry')}, 0) AS retry, coalesce({self._column('delay_s')}, 0) AS delay_s, "
            f"toInt64(coalesce({self._column('dead')}, 0) > 0 OR dead_queue IS NOT NULL) AS dead, "
            f"{threshold} AS threshold, "
            "Links.TraceId AS link_traces, Links.SpanId AS link_spans, Links.Attributes AS link_attributes "
            f"FROM {self._table} WHERE {condition} AND {_within(lo, hi)} {_ONCE})"
        )

    # ---------------------------------------------------------------- relations

    def spans(self, lo: str = "lo", hi: str = "hi") -> str:
        """Every span."""
        return (
            "(SELECT TraceId AS trace, nullIf(ParentSpanId, '') AS parent, "
            "toUnixTimestamp64Nano(Timestamp) AS start_ns, "
            "toUnixTimestamp64Nano(Timestamp) + toInt64(Duration) AS end_ns, nullIf(ServiceName, '') AS service, "
            f"{self._column('destination')} AS destination, {_FAILED} AS failed, SpanName AS name "
            f"FROM {self._table} WHERE {_within(lo, hi)} {_ONCE})"
        )

    def sent(self, lo: str = "lo", hi: str = "hi") -> str:
        """Sends."""
        base = self._base(lo, hi, "SpanKind IN ('Producer', 'Client')")
        send = "SpanKind = 'Producer'"
        return (
            f"(SELECT if({send}, TraceId, link_traces[1]) AS mt, if({send}, SpanId, link_spans[1]) AS ms, start_ns, "
            "duration_ns, service, destination, system, part, pos, failed, retry, delay_s, server, threshold, "
            "error_type "
            f"FROM {base} b WHERE {send} "
            "OR (length(link_traces) = 1 AND coalesce(operation, '') IN ('send', 'create')))"
        )

    def received(self, lo: str = "lo", hi: str = "hi") -> str:
        """Deliveries."""
        a = "a"
        link = ", ".join(
            f"nullIf({self._of_link(a, key)}, '')"
            for key in ("messaging.destination.name", "messaging.destination.partition.id", "messaging.kafka.offset")
        )
        none = "CAST(NULL, 'Nullable(String)')"
        above = f"(TraceId, ParentSpanId, {none}, {none}, {none}, {{weak}})"
        linked = f"arrayMap((t, s, a) -> (t, s, {link}, 0), link_traces, link_spans, link_attributes)"
        messages = f"arrayFilter((m, a) -> {self._of_link(a, 'celery.retries')} = '', {linked}, link_attributes)"
        parent, weak = above.format(weak=0), above.format(weak=1)
        is_message = "has(arrayZip(link_traces, link_spans), (TraceId, ParentSpanId))"
        deliveries = (
            f"multiIf(batch IS NULL AND ParentSpanId != '' AND {is_message}, [{parent}], "
            f"batch IS NULL AND length(messages) = 1, "
            f"if(ParentSpanId != '', arrayConcat(messages, [{weak}]), messages), "
            f"length(messages) > 0, messages, ParentSpanId != '', [{parent}], [])"
        )
        return (
            "(SELECT m.1 AS mt, m.2 AS ms, SpanId AS rid, start_ns, duration_ns, service, "
            "coalesce(m.3, b_destination) AS destination, system, coalesce(m.4, b_part) AS part, "
            f"coalesce(toInt64OrNull(m.5), b_pos) AS pos, {self._subscription('coalesce(m.3, b_destination)')} "
            "AS subscription, failed, retry, if(is_many, NULL, b_latency_ms) AS latency_ms, dead, dead_queue, "
            "dead_reason, "
            "threshold, server, error_type, m.6 AS weak FROM ("
            "SELECT TraceId, SpanId, start_ns, duration_ns, service, destination AS b_destination, system, "
            "part AS b_part, "
            "pos AS b_pos, consumer_group, failed, retry, latency_ms AS b_latency_ms, dead, dead_queue, dead_reason, "
            f"threshold, server, error_type, {messages} AS messages, "
            f"length(messages) > 1 OR (batch IS NOT NULL AND length(messages) > 0) AS is_many, {deliveries} AS taken "
            f"FROM {self._base(lo, hi, _CONSUMER)} b) c ARRAY JOIN taken AS m)"
        )

    def arrived(self, lo: str = "lo", hi: str = "hi") -> str:
        """Deliveries, a batch as one row."""
        own = "ParentSpanId != '' AND has(arrayZip(link_traces, link_spans), (TraceId, ParentSpanId))"
        linked = f"arrayCount(a -> {self._of_link('a', 'celery.retries')} = '', link_attributes)"
        return (
            f"(SELECT destination, service, {self._subscription('destination')} AS subscription, system, "
            f"multiIf(batch IS NULL AND ({own}), 1, {linked} > 0, coalesce(batch, {linked}), ParentSpanId != '', 1, 0) "
            "AS messages, start_ns, duration_ns, failed, retry, latency_ms, dead, dead_queue, threshold "
            f"FROM {self._base(lo, hi, _CONSUMER)} b WHERE messages > 0)"
        )

    def _subscription(self, destination: str) -> str:
        return f"coalesce(consumer_group, if(system = 'kafka', service, NULL), {self.queue(destination)}, service)"

    def with_attribute(self, key: str, value: str, lo: str = "lo", hi: str = "hi") -> tuple[str, Mapping[str, Any]]:
        """The key of a Map is bound as the value is; a path of JSON is looked for in its text."""
        if self._is_json:
            parts = key.split(".")
            path = ", ".join(f"$attribute_key_{number}" for number in range(len(parts)))
            condition = f"trim(BOTH '\"' FROM JSONExtractRaw(toJSONString(SpanAttributes), {path})) = $attribute_value"
            keys: dict[str, Any] = {f"attribute_key_{number}": part for number, part in enumerate(parts)}
        else:
            condition = (
                "SpanAttributes[$attribute_key] = $attribute_value AND mapContains(SpanAttributes, $attribute_key)"
            )
            keys = {"attribute_key": key}
        return (
            f"(SELECT DISTINCT TraceId AS trace FROM {self._table} WHERE {condition} AND {_within(lo, hi)})",
            {**keys, "attribute_value": value},
        )

    # ---------------------------------------------------------------- words

    def quantile(self, share: float, expression: str) -> str:
        """As quantile_cont."""
        return f"quantileExactInclusive({share})({expression})"

    def first(self, expression: str, by: str) -> str:
        """argMin."""
        return f"argMin({expression}, {by})"

    def last(self, expression: str, by: str) -> str:
        """argMax."""
        return f"argMax({expression}, {by})"

    def some(self, expression: str) -> str:
        """any passes over NULL."""
        return f"any({expression})"

    def messages(self) -> str:
        """uniqExact."""
        return "uniqExact(mt, ms)"

    def names(self, expression: str) -> str:
        """NULL is passed over."""
        return f"groupUniqArray({expression})"

    def queue(self, expression: str) -> str:
        """The last part."""
        return f"extract({expression}, '[^:]*$')"

    def begins(self, text: str, beginning: str) -> str:
        """startsWith."""
        return f"startsWith({text}, {beginning})"

    def randomness(self, trace: str) -> str:
        """The trace id is text here."""
        return f"bitAnd(reinterpretAsUInt64(reverse(unhex(substring({trace}, 17, 16)))), 72057594037927935)"


_CONSUMER: Final = "SpanKind = 'Consumer'"


def _within(lo: str, hi: str) -> str:
    return f"Timestamp >= fromUnixTimestamp64Nano(${lo}) AND Timestamp < fromUnixTimestamp64Nano(${hi})"


def _renamed() -> tuple[list[str], list[str]]:
    return list(LEGACY_OPERATIONS), list(LEGACY_OPERATIONS.values())
