"""The tables of a file of spans, and which version of them a file has.

``span`` and ``link`` are the rows of :mod:`mqtrace.otlp.columns`; ``read_to`` says how far each partition or file was
read, written in the transaction of what was read; ``about`` what the file is. ``spans`` is a view for people.
"""

from __future__ import annotations

from typing import Final

from mqtrace.otlp.columns import COLUMNS, LINK_COLUMNS

__all__ = ["TABLES", "VERSION"]

#: Of the tables. A file of another version is refused.
VERSION: Final = 1


def _columns(columns: object) -> str:
    assert isinstance(columns, dict)
    return ", ".join(f"{name} {sql}" for name, sql in columns.items())


TABLES: Final = f"""
CREATE TABLE about (name VARCHAR, value VARCHAR);
CREATE TABLE read_to (place VARCHAR, next BIGINT);
CREATE TABLE span ({_columns(COLUMNS)});
CREATE TABLE link ({_columns(LINK_COLUMNS)});
CREATE VIEW spans AS SELECT
  format('{{:016x}}{{:016x}}', t_hi, t_lo) AS trace_id, format('{{:016x}}', span) AS span_id,
  format('{{:016x}}', parent) AS parent_id, make_timestamp_ns(start_ns) AS start, duration_ns / 1e6 AS duration_ms,
  ['internal', 'server', 'client', 'producer', 'consumer'][kind] AS kind, name, service,
  ['unset', 'ok', 'error'][status + 1] AS status, error_type, system, operation, destination, part, pos,
  consumer_group, batch, latency_ms, retry, delay_s, dead, dead_queue, dead_reason, message_id, server, trace_state,
  rest
FROM span;
INSERT INTO about VALUES ('mqtrace spans', '{VERSION}');
"""
