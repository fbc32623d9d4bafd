"""The readers that users have read the span topics that these tests write to: Collector, Jaeger, Zipkin.

What is written here is made by ``opentelemetry-proto`` and by hand, not by mqtrace: it shows that the readers are set
up right, so that a failure of mqtrace's own spans on them is mqtrace's.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

_START = 1_750_000_000_000_000_000


def _traces(trace_id: str, span_id: str) -> bytes:
    data = TracesData()
    resource = data.resource_spans.add()
    service = resource.resource.attributes.add()
    service.key, service.value.string_value = "service.name", "readers"
    span = resource.scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(trace_id), bytes.fromhex(span_id), "send orders"
    span.kind = span.SPAN_KIND_PRODUCER
    span.start_time_unix_nano, span.end_time_unix_nano = _START, _START + 5_000
    return bytes(data.SerializeToString())


def _send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def _fetch(url: str) -> Any:
    """The JSON of a page; None while there is none."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as response:
            return json.load(response)
    except (urllib.error.HTTPError, TimeoutError, ConnectionError):
        return None


def _eventually(read: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := read():
            return found
        time.sleep(0.2)
    pytest.fail("it was not read within 60 s")


@pytest.fixture
def ids() -> tuple[str, str]:
    return uuid.uuid4().hex, uuid.uuid4().hex[:16]


def test_the_collector_reads_otlp_spans(kafka_bootstrap: str, otelcol_file: str, ids: tuple[str, str]) -> None:
    _send(kafka_bootstrap, "otlp_spans", _traces(*ids))
    lines = _eventually(lambda: [line for line in Path(otelcol_file).read_text().splitlines() if ids[0] in line])
    (resource,) = json.loads(lines[0])["resourceSpans"]
    span = resource["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"], span["name"]) == (*ids, "send orders")


def test_jaeger_reads_otlp_spans(kafka_bootstrap: str, jaeger_url: str, ids: tuple[str, str]) -> None:
    _send(kafka_bootstrap, "otlp_spans", _traces(*ids))
    found = _eventually(lambda: _fetch(f"{jaeger_url}/api/v3/traces/{ids[0]}"))
    (resource,) = found["result"]["resourceSpans"]
    span = resource["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"], span["name"]) == (*ids, "send orders")


def test_zipkin_reads_its_topic(kafka_bootstrap: str, zipkin_url: str, ids: tuple[str, str]) -> None:
    span = {
        "traceId": ids[0],
        "id": ids[1],
        "name": "send orders",
        "kind": "PRODUCER",
        "timestamp": int(time.time() * 1e6),
        "duration": 5,
        "localEndpoint": {"serviceName": "readers"},
    }
    _send(kafka_bootstrap, "zipkin", json.dumps([span]).encode())
    (found,) = _eventually(lambda: _fetch(f"{zipkin_url}/api/v2/trace/{ids[0]}"))
    assert {name: found[name] for name in span} == span
