"""The readers that users have show what wrapped clients did: OpenTelemetry Collector, Jaeger, Zipkin.

For each there is one test with a span that is not mqtrace's, made by ``opentelemetry-proto`` or by hand: where that one
passes and the other fails, the fault is mqtrace's. What the other expects is said by the message and the broker.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import mqtrace
import mqtrace.otel

_START = 1_750_000_000_000_000_000
_LATENCY = "messaging.message.receive.latency"


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


# ---------------------------------------------------------------------- what a wrapped producer and consumer did


class _Deed(NamedTuple):
    """A tombstone that a shop sent within an order, and that a kitchen failed to process."""

    trace_id: str
    order: str
    sent: str
    processed: str
    topic: str
    #: The attributes of both spans, without the time in the queue.
    sending: dict[str, Any]
    processing: dict[str, Any]


@pytest.fixture
def do(kafka_bootstrap: str, make_topic: Callable[..., str]) -> Callable[[Any], _Deed]:
    """``do(to)``: does it, with the spans going to that topic (path and query of a URL), that URL, or what it makes."""

    def deed(to: Any) -> _Deed:
        if isinstance(to, str):
            url = to if "://" in to else f"kafka://{kafka_bootstrap}/{to}"
            to = lambda: url  # noqa: E731  # as what makes an exporter
        shop, kitchen = (mqtrace.Tracer(name, 1.0, exporter=to()) for name in ("readers-shop", "readers-kitchen"))
        topic = make_topic(kafka_bootstrap)
        producer = shop.wrap(Producer)({"bootstrap.servers": kafka_bootstrap, "client.id": "till"})
        with shop.start_span("order", attributes={"pizzas": 2}) as order:
            producer.produce(topic, None, b"k", partition=0)
        assert producer.flush(20) == 0
        consumer = kitchen.wrap(Consumer)({"bootstrap.servers": kafka_bootstrap, "group.id": "cooks"})
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        message: Any = _eventually(lambda: consumer.consume(1, 1.0))[0]  # of itself a tombstone is false
        with pytest.raises(LookupError), kitchen.process(message) as span:
            span.add_event("oven is hot", {"degrees": 300})
            raise LookupError("no such pizza")
        consumer.close()
        assert shop.shutdown(20)
        assert kitchen.shutdown(20)
        host, _, port = kafka_bootstrap.partition(":")
        common = {
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": "0",
            "messaging.kafka.offset": 0,
            "messaging.kafka.message.tombstone": True,
            "server.address": host,
            "server.port": int(port),
        }
        operation = ("messaging.operation.name", "messaging.operation.type")
        sending = {**common, **dict.fromkeys(operation, "send"), "messaging.client.id": "till"}
        processing = {**common, **dict.fromkeys(operation, "process"), "messaging.consumer.group.name": "cooks"}
        processing["error.type"] = "LookupError"
        _, trace_id, sent, _ = dict(message.headers())["traceparent"].decode().split("-")
        return _Deed(trace_id, order.span_id, sent, span.span_id, topic, sending, processing)

    return deed


def _value(value: dict[str, Any]) -> Any:
    """An AnyValue of OTLP JSON, where integers of 64 bits are text."""
    ((kind, said),) = value.items()
    return int(said) if kind == "intValue" else said


def _attributes(of: dict[str, Any]) -> dict[str, Any]:
    told = {one["key"]: _value(one["value"]) for one in of.get("attributes", [])}
    # Jaeger takes a child that begins after its parent's end, which is what a queue is for, for a skewed clock.
    return {name: value for name, value in told.items() if not name.startswith("@jaeger@")}


def _by_id(resources: list[dict[str, Any]], trace_id: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Service and span of OTLP JSON, by the span's id."""
    return {
        span["spanId"]: (_attributes(resource["resource"])["service.name"], span)
        for resource in resources
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["traceId"] == trace_id
    }


def _holds(deed: _Deed, spans: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """What OTLP JSON says of the deed is what was done."""
    assert set(spans) == {deed.order, deed.sent, deed.processed}
    assert [spans[one][0] for one in (deed.order, deed.sent, deed.processed)] == [
        "readers-shop",
        "readers-shop",
        "readers-kitchen",
    ]
    order, sent, processed = (spans[one][1] for one in (deed.order, deed.sent, deed.processed))
    assert [span["name"] for span in (order, sent, processed)] == [
        "order",
        f"send {deed.topic}",
        f"process {deed.topic}",
    ]
    assert [span["kind"] for span in (order, sent, processed)] == [1, 4, 5]
    assert not order.get("parentSpanId")
    assert (sent["parentSpanId"], processed["parentSpanId"]) == (deed.order, deed.sent)
    assert _attributes(order) == {"pizzas": 2}
    assert _attributes(sent) == deed.sending
    attributes = _attributes(processed)
    assert 0 < attributes.pop(_LATENCY) < 60_000
    assert attributes == deed.processing
    (link,) = processed["links"]
    assert (link["traceId"], link["spanId"]) == (deed.trace_id, deed.sent)
    assert processed["status"]["code"] == 2
    assert processed["status"]["message"] == "no such pizza"
    assert not sent.get("status", {}).get("code")
    events = {event["name"]: _attributes(event) for event in processed["events"]}  # Jaeger puts them in another order
    assert set(events) == {"oven is hot", "exception"}
    assert events["oven is hot"] == {"degrees": 300}
    assert events["exception"]["exception.message"] == "no such pizza"
    for span in (order, sent, processed):
        assert 0 <= int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) < 60e9
    assert int(sent["startTimeUnixNano"]) <= int(processed["startTimeUnixNano"])


# ---------------------------------------------------------------------- OpenTelemetry Collector


def test_the_collector_reads_otlp_spans(kafka_bootstrap: str, otelcol_file: str, ids: tuple[str, str]) -> None:
    _send(kafka_bootstrap, "otlp_spans", _traces(*ids))
    lines = _eventually(lambda: [line for line in Path(otelcol_file).read_text().splitlines() if ids[0] in line])
    (resource,) = json.loads(lines[0])["resourceSpans"]
    span = resource["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"], span["name"]) == (*ids, "send orders")


@pytest.mark.parametrize("options", ["", "?partition_by_trace=true&compression.type=lz4"])
def test_the_collector_shows_what_was_sent_and_processed(otelcol_file: str, do: Any, options: str) -> None:
    _is_in(otelcol_file, do(f"otlp_spans{options}"))


@pytest.mark.parametrize("options", ["", "?compression=none", "/v1/traces?encoding=otlp_json"])
def test_the_collector_shows_what_came_over_http(otelcol_file: str, otelcol_url: str, do: Any, options: str) -> None:
    _is_in(otelcol_file, do(f"{otelcol_url}{options}"))


def test_the_collector_shows_what_opentelemetrys_sdk_sent_to_kafka(kafka_bootstrap: str, otelcol_file: str) -> None:
    exporter = mqtrace.otel.KafkaSpanExporter(f"kafka://{kafka_bootstrap}/otlp_spans")
    provider = TracerProvider(resource=Resource({"service.name": "readers-sdk"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with provider.get_tracer("readers").start_as_current_span("order", attributes={"pizzas": 2}) as order:
        order.add_event("oven is hot", {"degrees": 300})
    assert provider.force_flush(20_000)
    provider.shutdown()
    ids = order.get_span_context()
    trace_id, span_id = f"{ids.trace_id:032x}", f"{ids.span_id:016x}"

    def read() -> Any:
        lines = [line for line in Path(otelcol_file).read_text().splitlines() if trace_id in line]
        return _by_id([one for line in lines for one in json.loads(line)["resourceSpans"]], trace_id)

    service, span = _eventually(read)[span_id]
    assert (service, span["name"], _attributes(span)) == ("readers-sdk", "order", {"pizzas": 2})
    (event,) = span["events"]
    assert (event["name"], _attributes(event)) == ("oven is hot", {"degrees": 300})


def test_the_collector_shows_what_came_through_opentelemetrys_exporter(
    otelcol_file: str, otelcol_url: str, do: Any
) -> None:
    _is_in(otelcol_file, do(lambda: OTLPSpanExporter(f"{otelcol_url}/v1/traces")))


def _is_in(otelcol_file: str, deed: _Deed) -> None:
    def read() -> Any:
        lines = [line for line in Path(otelcol_file).read_text().splitlines() if deed.trace_id in line]
        spans = _by_id([one for line in lines for one in json.loads(line)["resourceSpans"]], deed.trace_id)
        return spans if len(spans) == 3 else None

    _holds(deed, _eventually(read))


# ---------------------------------------------------------------------- Jaeger


def test_jaeger_reads_otlp_spans(kafka_bootstrap: str, jaeger_url: str, ids: tuple[str, str]) -> None:
    _send(kafka_bootstrap, "otlp_spans", _traces(*ids))
    found = _eventually(lambda: _fetch(f"{jaeger_url}/api/v3/traces/{ids[0]}"))
    (resource,) = found["result"]["resourceSpans"]
    span = resource["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"], span["name"]) == (*ids, "send orders")


@pytest.mark.parametrize("options", ["", "?partition_by_trace=true"])
def test_jaeger_shows_what_was_sent_and_processed(jaeger_url: str, do: Any, options: str) -> None:
    _is_shown(jaeger_url, do(f"otlp_spans{options}"))


@pytest.mark.parametrize("options", ["", "?compression=none", "/v1/traces?encoding=otlp_json"])
def test_jaeger_shows_what_came_over_http(jaeger_url: str, jaeger_otlp_url: str, do: Any, options: str) -> None:
    _is_shown(jaeger_url, do(f"{jaeger_otlp_url}{options}"))


def _is_shown(jaeger_url: str, deed: _Deed) -> None:

    def read() -> Any:
        found = _fetch(f"{jaeger_url}/api/v3/traces/{deed.trace_id}")
        spans = _by_id(found["result"]["resourceSpans"], deed.trace_id) if found else {}
        return spans if len(spans) == 3 else None

    _holds(deed, _eventually(read))


# ---------------------------------------------------------------------- Zipkin


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


@pytest.mark.parametrize("over", ["kafka", "http"])
def test_zipkin_shows_what_was_sent_and_processed(zipkin_url: str, do: Any, over: str) -> None:
    """Its tags are text, it has no links (a tag says them), and it writes names in lowercase."""
    deed = do("zipkin?encoding=zipkin_json" if over == "kafka" else f"{zipkin_url}?encoding=zipkin_json")

    def read() -> Any:
        found = _fetch(f"{zipkin_url}/api/v2/trace/{deed.trace_id}") or []
        return {span["id"]: span for span in found} if len(found) == 3 else None

    spans = _eventually(read)
    order, sent, processed = (spans[one] for one in (deed.order, deed.sent, deed.processed))
    assert [span["name"] for span in (order, sent, processed)] == [
        "order",
        f"send {deed.topic}",
        f"process {deed.topic}",
    ]
    assert [span.get("kind") for span in (order, sent, processed)] == [None, "PRODUCER", "CONSUMER"]
    services = [span["localEndpoint"]["serviceName"] for span in (order, sent, processed)]
    assert services == ["readers-shop", "readers-shop", "readers-kitchen"]
    assert (sent["parentId"], processed["parentId"]) == (deed.order, deed.sent)
    host, port = deed.sending["server.address"], deed.sending["server.port"]
    for span in (sent, processed):
        assert span["remoteEndpoint"] == {"serviceName": "kafka", "ipv4": host, "port": port}
        assert span["duration"] >= 1

    def text(attributes: dict[str, Any]) -> dict[str, str]:
        return {name: "true" if value is True else str(value) for name, value in attributes.items()}

    common = {name: value for name, value in order["tags"].items() if name != "pizzas"}
    assert {"telemetry.sdk.name": "mqtrace", "otel.scope.name": "mqtrace"}.items() <= common.items()
    assert order["tags"]["pizzas"] == "2"
    assert sent["tags"] == common | text(deed.sending)
    tags = processed["tags"]
    assert 0 < float(tags.pop(_LATENCY)) < 60_000
    assert tags.pop("link.0") == f"{deed.trace_id}/{deed.sent}"
    assert (tags.pop("error"), tags.pop("otel.status_code")) == ("no such pizza", "ERROR")
    assert tags == common | text(deed.processing)
    annotations = [one["value"] for one in processed["annotations"]]
    assert annotations[0] == '"oven is hot": {"degrees": "300"}'
    assert "no such pizza" in annotations[1]
