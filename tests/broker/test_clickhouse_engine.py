"""ClickHouse's own Kafka engine, by what `mqtrace schema clickhouse` prints, on a real Kafka. It wants chdb."""

from __future__ import annotations

import importlib
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__

pytest.importorskip("duckdb", reason="the extra flow is not installed")
pytest.importorskip("chdb", reason="chdb is not installed")

from mqtrace.flow.clickhouse.schema import PROTO, text
from mqtrace.otlp.records import SpanRecord
from tests.flow.encoded import payloads
from tests.flow.shop import Shop
from tests.flow.spans import NOW

_SPANS = 300_000
_SECONDS = 120


@pytest.fixture
def topic(kafka: str) -> Iterator[str]:
    name = f"mqtrace-engine-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(30)
    yield name
    admin.delete_topics([name])[name].result(30)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.real_only("the embedded broker keeps too little of so much")
def test_the_table_has_each_span_of_the_topic_once(kafka: str, topic: str, tmp_path: Path) -> None:
    sent: set[tuple[str, str]] = set()
    count = 0

    def noted(spans: Iterable[SpanRecord]) -> Iterator[SpanRecord]:
        nonlocal count
        for span in spans:
            count += 1
            sent.add((span.trace_id, span.span_id))
            yield span

    producer = Producer({"bootstrap.servers": kafka, "compression.type": "zstd", "linger.ms": 50})
    for number, message in enumerate(payloads(noted(Shop(NOW, lose=500).spans(_SPANS)))):
        producer.produce(topic, message, partition=number % 3)
        producer.poll(0)
    producer.produce(topic, b"no OTLP", partition=0)
    assert producer.flush(60) == 0

    (tmp_path / "otlp_traces.proto").write_text(PROTO)
    # a server looks for it in its own folder; the name of the group is of this topic
    sql = text(kafka, topic, "otel").replace("'otlp_traces:", f"'{tmp_path}/otlp_traces:")
    sql = re.sub(r"^--.*\n", "", sql, flags=re.MULTILINE).replace("clickhouse-otel", topic)
    clickhouse: Any = importlib.import_module("chdb.session").Session(str(tmp_path / "data"))  # it has no types
    try:
        for statement in filter(str.strip, sql.split(";\n")):
            _run(clickhouse, statement)
        rows, until = 0, time.monotonic() + _SECONDS
        while rows < count and time.monotonic() < until:
            time.sleep(1)
            rows = _number(clickhouse, "SELECT count() FROM otel.otel_traces")
        time.sleep(3)  # whether more come than there are
        assert _number(clickhouse, "SELECT count() FROM otel.otel_traces") == count
        assert _number(clickhouse, "SELECT uniqExact(TraceId, SpanId) FROM otel.otel_traces") == len(sent)
    finally:
        clickhouse.query("DROP DATABASE otel SYNC")
        clickhouse.close()


def _run(clickhouse: Any, statement: str) -> None:
    try:
        clickhouse.query(statement)
    except RuntimeError as error:
        # chdb 4.4 says so of a table of the Kafka engine that it has made all the same
        if "Shutdown was called" not in str(error):
            raise


def _number(clickhouse: Any, query: str) -> int:
    return int(bytes(clickhouse.query(query, "TSV").bytes()))
