"""``mqtrace tail`` on the embedded broker: what it draws, filters and ends with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode, set_span_in_context

from mqtrace.cli import main

MakeTopic = Callable[..., str]


def otlp(service: str, spans: Sequence[ReadableSpan]) -> bytes:
    """What the OpenTelemetry SDK's OTLP exporter would send of these."""
    data = TracesData()
    resource_spans = data.resource_spans.add()
    resource_spans.resource.attributes.append(
        KeyValue(key="service.name", value=AnyValue(string_value=service)),
    )
    for span in spans:
        assert span.context is not None
        assert span.start_time is not None
        assert span.end_time is not None
        encoded = Span(
            trace_id=span.context.trace_id.to_bytes(16, "big"),
            span_id=span.context.span_id.to_bytes(8, "big"),
            parent_span_id=span.parent.span_id.to_bytes(8, "big") if span.parent else b"",
            name=span.name,
            kind=Span.SpanKind.ValueType(span.kind.value + 1),
            start_time_unix_nano=span.start_time,
            end_time_unix_nano=span.end_time,
            status=Status(
                message=span.status.description or "", code=Status.StatusCode.ValueType(span.status.status_code.value)
            ),
        )
        for key, value in (span.attributes or {}).items():
            encoded.attributes.append(KeyValue(key=key, value=AnyValue(string_value=str(value))))
        for link in span.links:
            encoded.links.add(
                trace_id=link.context.trace_id.to_bytes(16, "big"), span_id=link.context.span_id.to_bytes(8, "big")
            )
        resource_spans.scope_spans.add().spans.append(encoded)
    return bytes(data.SerializeToString())


class Shop:
    """Two services instrumented with the OpenTelemetry SDK, and a batch that links to what they sent."""

    def __init__(self) -> None:
        self.finished = {name: InMemorySpanExporter() for name in ("front", "worker", "batch")}
        self.tracers: dict[str, Any] = {}
        for name, exporter in self.finished.items():
            provider = TracerProvider(resource=Resource({"service.name": name}))
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            self.tracers[name] = provider.get_tracer("test")
        self.sent: list[Any] = []

    def order(self, topic: str, error: str | None = None) -> None:
        front, worker = self.tracers["front"], self.tracers["worker"]
        destination = {"messaging.destination.name": topic}
        with (
            front.start_as_current_span(f"POST /{topic}", kind=SpanKind.SERVER),
            front.start_as_current_span(f"send {topic}", kind=SpanKind.PRODUCER, attributes=destination) as send,
        ):
            self.sent.append(send.get_span_context())
        context = set_span_in_context(send)
        attributes = {**destination, "messaging.destination.partition.id": "3"}
        span = worker.start_span(f"process {topic}", context, SpanKind.CONSUMER, attributes)
        if error is not None:
            span.set_status(StatusCode.ERROR, error)
        span.end()

    def ship(self) -> None:
        self.tracers["batch"].start_span("ship", links=[Link(context) for context in self.sent]).end()

    def messages(self) -> list[bytes]:
        return [otlp(name, exporter.get_finished_spans()) for name, exporter in self.finished.items()]


def tail(*arguments: str) -> int:
    return main(["tail", *arguments, "--from-beginning", "--quiet-seconds", "0.5", "--timeout", "8"])


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    made.order("orders")
    made.order("refunds", error="no credit")
    return made


def test_draws_what_the_opentelemetry_sdk_wrote(
    span_topic: MakeTopic, shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    shop.ship()
    assert tail(span_topic(*shop.messages()), "--limit", "3") == 0
    drawn = capsys.readouterr().out
    assert "POST /orders" in drawn
    assert "✗ no credit" in drawn
    assert "trace" in drawn
    assert drawn.count("⇠ ship") == 2, "the batch is shown in each trace that it links to"
    assert "\x1b" not in drawn, "no colour where stdout is no terminal"
    assert max(map(len, drawn.splitlines())) <= 140


@pytest.mark.parametrize("columns", [80, 140])
def test_no_line_is_wider_than_the_terminal(
    columns: int, span_topic: MakeTopic, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shop = Shop()
    shop.order("a-topic-with-a-name-that-somebody-thought-about-" * 3, error="x" * 300)
    shop.ship()
    assert tail(span_topic(*shop.messages()), "--limit", "2") == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_json_is_an_object_a_line(span_topic: MakeTopic, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert tail(span_topic(*shop.messages()), "--limit", "2", "--json") == 0
    traces = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [trace["services"] for trace in traces] == [["front", "worker"]] * 2
    assert [trace["whole"] for trace in traces] == [True, True]
    assert [trace["errors"] for trace in traces] == [0, 1]
    names = [(span["name"], span["kind"], span["destination"], span["partition"]) for span in traces[0]["spans"]]
    assert names == [
        ("POST /orders", "server", None, None),
        ("send orders", "producer", "orders", None),
        ("process orders", "consumer", "orders", "3"),
    ]
    assert traces[0]["spans"][2]["queue_ms"] >= 0


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--errors"], ["POST /refunds"]),
        (["--service", "work*"], ["POST /orders", "POST /refunds"]),
        (["--service", "nobody"], []),
        (["--destination", "orders", "--service", "front"], ["POST /orders"]),
        (["--destination", "orders", "--destination", "refunds"], ["POST /orders", "POST /refunds"]),
        (["--destination", "orders", "--errors"], []),
        (["--slower-than", "60000"], []),
        (["--slower-than", "0.000001"], ["POST /orders", "POST /refunds"]),
    ],
)
def test_filters(
    filters: list[str], found: list[str], span_topic: MakeTopic, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    until = ["--limit", str(len(found)), "--timeout", "8"] if found else ["--timeout", "1.5"]
    url = span_topic(*shop.messages())
    assert main(["tail", url, "--json", "--from-beginning", "--quiet-seconds", "0.5", *until, *filters]) == 0
    traces = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [trace["spans"][0]["name"] for trace in traces] == found


def test_a_trace_whose_root_never_comes_is_drawn_too(
    span_topic: MakeTopic, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    span = Span(trace_id=b"1" * 16, span_id=b"2" * 8, parent_span_id=b"3" * 8, name="lonely \x1b[31m\nred")
    data = TracesData()
    data.resource_spans.add().scope_spans.add().spans.append(span)
    assert tail(span_topic(data.SerializeToString()), "--limit", "1") == 0
    drawn = capsys.readouterr().out
    assert "the root has not arrived" in drawn
    assert "its parent 3333333333333333 has not arrived" in drawn
    assert "lonely �[31m�red" in drawn, "what a topic holds gives no orders to a terminal"


def test_garbage_is_counted(span_topic: MakeTopic, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    payloads = [b"hello", None, b"[]", *shop.messages()]
    assert tail(span_topic(*payloads), "--limit", "2", "--json") == 0
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 2
    assert "3 of 6 messages held no OTLP" in output.err


def test_a_limit_that_is_not_reached_in_time_is_status_1(span_topic: MakeTopic) -> None:
    assert main(["tail", span_topic(), "--limit", "1", "--timeout", "0.3", "--json"]) == 1


def test_without_from_beginning_only_what_is_new(
    span_topic: MakeTopic, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", span_topic(*shop.messages()), "--timeout", "0.5", "--json"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:9092", "is not a source of spans: write kafka://host:9092/topic"),
        ("amqp://localhost/x", "is not a source of spans: write kafka://host:9092/topic"),
        ("nothing.duckdb", "there is no file 'nothing.duckdb'"),
        ("file:///no/such.jsonl", "cannot be read"),
        ("http://127.0.0.1:1", "no page answers at http://127.0.0.1:1"),
        ("kafka://", "a host is missing: write 'kafka://host:9092/topic'"),
        ("kafka://me:secret@host/x", "holds a user before"),
        ("kafka://127.0.0.1:1/spans", "no Kafka broker answers at 127.0.0.1:1: start one, or correct the address"),
        ("kafka://127.0.0.1:1/spans?no.such=x", "the client refuses its settings"),
    ],
)
def test_errors_are_one_sentence(url: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", url, "--json"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert "secret" not in error


def test_without_rich_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    assert main(["tail", "kafka://127.0.0.1:1/spans"]) == 2
    assert "pip install 'mqtrace[cli]'" in capsys.readouterr().err
