"""pika channels that OpenTelemetry's instrumentation has wrapped too: one span, mqtrace's, in either order."""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace
from mqtrace.testing import record

pika: Any = pytest.importorskip("pika")
instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.pika")


@pytest.fixture
def theirs() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(theirs: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(theirs))
    return made


@pytest.fixture(params=["all connections", "channel before wrap", "channel after wrap", "raw after wrap"])
def channel(request: pytest.FixtureRequest, provider: TracerProvider, rabbitmq_url: str) -> Iterator[Any]:
    """A channel that both trace."""
    instrumentor = instrumentation.PikaInstrumentor()
    if request.param == "all connections":
        instrumentor.instrument(tracer_provider=provider)
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    raw = connection.channel()
    if request.param == "channel before wrap":
        instrumentor.instrument_channel(raw, tracer_provider=provider)
    wrapped = mqtrace.wrap(raw)
    if request.param == "channel after wrap":
        instrumentor.instrument_channel(wrapped, tracer_provider=provider)
    if request.param == "raw after wrap":
        instrumentor.instrument_channel(raw, tracer_provider=provider)
    yield wrapped
    connection.close()
    if request.param == "all connections":
        instrumentor.uninstrument()


@pytest.fixture
def queue(channel: Any) -> str:
    name = f"instrumented-{uuid.uuid4().hex}"
    channel.queue_declare(name, exclusive=True)
    return name


def consume(channel: Any, queue: str, handle: Any) -> None:
    channel.basic_consume(queue, handle)
    channel.connection.call_later(10, channel.stop_consuming)
    channel.start_consuming()


def test_a_callback_is_traced_once(channel: Any, queue: str, theirs: InMemorySpanExporter) -> None:
    current: list[Any] = []

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        current.append(mqtrace.current_span().span_id)
        channel.basic_ack(method.delivery_tag)
        channel.stop_consuming()

    with record() as spans:
        channel.basic_publish("", queue, b"1")
        consume(channel, queue, handle)
    assert [span.name for span in spans] == [f"send {queue}", f"process {queue}"]
    assert spans[1].parent_id == spans[0].span_id
    assert current == [spans[1].span_id]
    assert theirs.get_finished_spans() == ()


def test_the_consume_loop_is_traced_once(channel: Any, queue: str, theirs: InMemorySpanExporter) -> None:
    with record() as spans:
        channel.basic_publish("", queue, b"1")
        for message in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
            assert message[0] is not None
            assert trace.get_current_span() is trace.INVALID_SPAN
            with mqtrace.process(message):
                pass
            break
        channel.cancel()
    assert [span.name for span in spans] == [f"send {queue}", f"process {queue}"]
    assert theirs.get_finished_spans() == ()
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_opentelemetry_makes_the_spans_until_mqtrace_is_configured(
    channel: Any, queue: str, theirs: InMemorySpanExporter
) -> None:
    handled: list[bytes] = []

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        handled.append(body)

    def until_handled(number: int) -> None:
        for _ in range(50):
            channel.connection.process_data_events(0.2)
            if len(handled) == number:
                return
        raise AssertionError("it was not delivered")

    channel.basic_publish("", queue, b"1")
    channel.basic_consume(queue, handle)
    until_handled(1)
    # a blocking channel has another below, and theirs makes a span of each of the two where both are instrumented
    assert {span.name for span in theirs.get_finished_spans()} == {f"{queue} send", f"{queue} receive"}
    theirs.clear()
    with record() as spans:  # the callback that was put in before goes on
        channel.basic_publish("", queue, b"2")
        until_handled(2)
    assert [span.name for span in spans] == [f"send {queue}", f"process {queue}"]
    assert theirs.get_finished_spans() == ()


def test_while_mqtrace_is_not_configured_what_consume_returns_is_theirs(
    channel: Any, queue: str, theirs: InMemorySpanExporter, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["channel"] != "all connections":
        pytest.skip("theirs traces consume only where it instruments all connections")

    def take_one() -> None:
        channel.basic_publish("", queue, b"1")
        for message in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
            assert message[0] is not None
            break
        channel.cancel()

    contextvars.copy_context().run(take_one)  # theirs stays current after the loop
    assert f"{queue} receive" in {span.name for span in theirs.get_finished_spans()}
