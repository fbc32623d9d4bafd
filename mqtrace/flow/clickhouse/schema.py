"""What to run in a ClickHouse so that it reads the span topic itself, into the Collector's ``otel_traces``.

The topic's messages are TracesData, one each: ClickHouse's Kafka engine reads them as ``ProtobufSingle``, with a .proto
of what OTLP has (opentelemetry/proto/trace/v1/trace.proto), and a materialized view makes rows of them. The table is
that of the Collector's clickhouseexporter, with attributes as a Map.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PROTO", "statements", "text"]

PROTO: Final = """\
syntax = "proto3";

message TracesData { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Scope { string name = 1; string version = 2; }
message Span {
  bytes trace_id = 1;
  bytes span_id = 2;
  string trace_state = 3;
  bytes parent_span_id = 4;
  string name = 5;
  uint32 kind = 6;
  fixed64 start_time_unix_nano = 7;
  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;
  repeated Event events = 11;
  repeated Link links = 13;
  Status status = 15;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4; }
message Status { string message = 2; uint32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  optional string string_value = 1;
  optional bool bool_value = 2;
  optional int64 int_value = 3;
  optional double double_value = 4;
}
"""

_PAIRS: Final = (
    "Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), "
    "int_value Nullable(Int64), double_value Nullable(Float64))))"
)
_SPANS: Final = f"""\
Array(Tuple(
    resource Tuple(attributes {_PAIRS}),
    scope_spans Array(Tuple(
      scope Tuple(name String, version String),
      spans Array(Tuple(
        trace_id String, span_id String, trace_state String, parent_span_id String, name String, kind UInt32,
        start_time_unix_nano UInt64, end_time_unix_nano UInt64,
        attributes {_PAIRS},
        events Array(Tuple(time_unix_nano UInt64, name String,
          attributes {_PAIRS})),
        links Array(Tuple(trace_id String, span_id String, trace_state String,
          attributes {_PAIRS})),
        status Tuple(message String, code UInt32)))))))"""
_MAP: Final = "Map(LowCardinality(String), String)"


def statements(database: str, engine: str) -> list[str]:
    """The SQL, one statement each. ``engine``: of the table that stands for the topic."""
    return [
        f"CREATE DATABASE IF NOT EXISTS {database}",
        f"""CREATE TABLE IF NOT EXISTS {database}.otel_traces (
  Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
  ParentSpanId String CODEC(ZSTD(1)), TraceState String CODEC(ZSTD(1)), SpanName LowCardinality(String),
  SpanKind LowCardinality(String), ServiceName LowCardinality(String), ResourceAttributes {_MAP},
  ScopeName String CODEC(ZSTD(1)), ScopeVersion String CODEC(ZSTD(1)), SpanAttributes {_MAP}, Duration UInt64,
  StatusCode LowCardinality(String), StatusMessage String CODEC(ZSTD(1)),
  Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {_MAP}),
  Links Nested (TraceId String, SpanId String, TraceState String, Attributes {_MAP}),
  INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
TTL toDateTime(Timestamp) + INTERVAL 3 DAY SETTINGS ttl_only_drop_parts = 1""",
        """CREATE FUNCTION IF NOT EXISTS mqtrace_texts AS (pairs) -> mapFromArrays(
  arrayMap(a -> toLowCardinality(a.key), pairs),
  arrayMap(a -> coalesce(a.value.string_value, toString(a.value.int_value), toString(a.value.double_value),
    toString(a.value.bool_value), ''), pairs))""",
        f"CREATE TABLE IF NOT EXISTS {database}.otel_topic (\n  resource_spans {_SPANS}\n) ENGINE = {engine}",
        f"""CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.otel_topic_rows TO {database}.otel_traces AS
SELECT fromUnixTimestamp64Nano(toInt64(span.start_time_unix_nano)) AS Timestamp, lower(hex(span.trace_id)) AS TraceId,
  lower(hex(span.span_id)) AS SpanId, lower(hex(span.parent_span_id)) AS ParentSpanId,
  span.trace_state AS TraceState, span.name AS SpanName,
  ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'][span.kind + 1] AS SpanKind,
  resource['service.name'] AS ServiceName, resource AS ResourceAttributes, scope.name AS ScopeName,
  scope.version AS ScopeVersion, mqtrace_texts(span.attributes) AS SpanAttributes,
  if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0)
    AS Duration,
  ['Unset', 'Ok', 'Error'][span.status.code + 1] AS StatusCode, span.status.message AS StatusMessage,
  arrayMap(e -> fromUnixTimestamp64Nano(toInt64(e.time_unix_nano)), span.events) AS `Events.Timestamp`,
  arrayMap(e -> toLowCardinality(e.name), span.events) AS `Events.Name`,
  arrayMap(e -> mqtrace_texts(e.attributes), span.events) AS `Events.Attributes`,
  arrayMap(l -> lower(hex(l.trace_id)), span.links) AS `Links.TraceId`,
  arrayMap(l -> lower(hex(l.span_id)), span.links) AS `Links.SpanId`,
  arrayMap(l -> l.trace_state, span.links) AS `Links.TraceState`,
  arrayMap(l -> mqtrace_texts(l.attributes), span.links) AS `Links.Attributes`
FROM (
  SELECT resource, scoped.scope AS scope, arrayJoin(scoped.spans) AS span FROM (
    SELECT mqtrace_texts(one.resource.attributes) AS resource, arrayJoin(one.scope_spans) AS scoped FROM (
      SELECT arrayJoin(resource_spans) AS one FROM {database}.otel_topic
    )
  )
)""",
    ]


def text(bootstrap: str, topic: str, database: str) -> str:
    """All of it, to be read and run. The names hold no quotes.

    ``kafka_handle_error_mode``: a message that is no OTLP is a row without spans. ``kafka_skip_broken_messages`` does
    not pass over one that is no protobuf: the engine reads up to it again and again, and the table stays empty.
    """
    engine = (
        f"Kafka\nSETTINGS kafka_broker_list = '{bootstrap}', kafka_topic_list = '{topic}',\n"
        "  kafka_group_name = 'clickhouse-otel', kafka_format = 'ProtobufSingle',\n"
        "  kafka_schema = 'otlp_traces:TracesData', kafka_handle_error_mode = 'stream'"
    )
    sql = ";\n\n".join(statements(database, engine))
    proto = "".join(f"--   {line}".rstrip() + "\n" for line in PROTO.splitlines())
    return f"""\
-- Fills {database}.otel_traces, the table of the OpenTelemetry Collector, from the topic {topic} at {bootstrap}.
-- First write these lines, without the dashes, to format_schemas/otlp_traces.proto in ClickHouse's folder
-- (/var/lib/clickhouse/format_schemas/):
--
{proto}
{sql};

-- For the questions, an account that may only read:
--   CREATE USER reader IDENTIFIED BY '...'; GRANT SELECT ON {database}.otel_traces TO reader;
--   mqtrace flow clickhouse://reader:...@localhost:8123/{database}
"""
