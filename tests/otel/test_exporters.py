"""Spans of ours through exporters and processors of OpenTelemetry's SDK."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace
from mqtrace.otel.exporters import ProviderExporter, SpanExporterAdapter


class Kept(SpanExporter):
    """An exporter that keeps spans, and says what it is told to."""

    def __init__(self, result: Any = SpanExportResult.SUCCESS) -> None:
        self.spans: list[ReadableSpan] = []
        self.result = result
        self.calls: list[str] = []
        self.suppressed: set[object] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.suppressed.add(context.get_value("suppress_instrumentation"))
        if isinstance(self.result, Exception):
            raise self.result
        self.spans.extend(spans)
        return self.result  # type: ignore[no-any-return]  # what the test gave

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.calls.append("flush")
        return True

    def shutdown(self) -> None:
        self.calls.append("shutdown")


@pytest.fixture
def tracers() -> Iterator[list[mqtrace.Tracer]]:
    made: list[mqtrace.Tracer] = []
    yield made
    for tracer in made:
        tracer.shutdown(1)


def test_a_span_exporter_gets_our_spans_as_the_sdks(tracers: list[mqtrace.Tracer]) -> None:
    kept = Kept()
    tracer = mqtrace.Tracer("shop", exporter=kept, resource={"zone": "a"})
    tracers.append(tracer)
    assert isinstance(tracer.settings.exporter, SpanExporterAdapter)
    with tracer.start_span("outer") as outer, tracer.start_span("inner", attributes={"n": 1}):
        pass
    assert tracer.flush(5)
    inner, top = kept.spans
    assert (inner.name, dict(inner.attributes or {}), inner.parent) == ("inner", {"n": 1}, top.get_span_context())
    assert f"{top.context.trace_id:032x}" == outer.trace_id
    assert inner.resource.attributes["service.name"] == "shop"
    assert inner.resource.attributes["zone"] == "a"
    assert inner.instrumentation_scope is not None
    assert inner.instrumentation_scope.name == "mqtrace"
    assert inner.to_json()
    assert kept.suppressed == {True}
    assert kept.calls == ["flush"]
    tracer.shutdown(1)
    assert kept.calls[-1] == "shutdown"


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, RuntimeError("no")])
def test_what_it_does_not_take_is_counted(tracers: list[mqtrace.Tracer], result: Any) -> None:
    tracer = mqtrace.Tracer("shop", exporter=Kept(result))
    tracers.append(tracer)
    tracer.start_span("work").end()
    assert not tracer.flush(5)
    assert tracer.stats()["spans_dropped"]["export_failed"] == 1


def test_one_that_returns_nothing_has_taken_them(tracers: list[mqtrace.Tracer]) -> None:
    tracer = mqtrace.Tracer("shop", exporter=Kept(None))
    tracers.append(tracer)
    tracer.start_span("work").end()
    assert tracer.flush(5)
    assert tracer.stats()["spans_exported"] == 1


def test_a_lone_surrogate_costs_nobody_its_batch(tracers: list[mqtrace.Tracer]) -> None:
    kept = Kept()
    tracer = mqtrace.Tracer("shop", exporter=kept)
    tracers.append(tracer)
    tracer.start_span("a\ud800", attributes={"\ud800": ["\ud800"]}).end()
    assert tracer.flush(5)
    (span,) = kept.spans
    assert (span.name, dict(span.attributes or {})) == ("a?", {"?": ("?",)})


def test_the_shutdown_of_an_exporter_that_takes_a_timeout_has_one() -> None:
    class Timed(Kept):
        def shutdown(self, timeout_millis: float = 30000) -> None:
            self.calls.append(f"shutdown {timeout_millis}")

    timed = Timed()
    SpanExporterAdapter(timed).shutdown(0.5)
    assert timed.calls == ["shutdown 500"]


# ---------------------------------------------------------------------- opentelemetry:


class Seen(SpanProcessor):
    """A processor that writes on spans as they start, as a BaggageSpanProcessor does."""

    def __init__(self) -> None:
        self.order: list[tuple[str, str, bool]] = []
        self.baggage: list[dict[str, object]] = []
        self.parents: list[int] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.order.append(("start", span.name, span.is_recording()))
        self.baggage.append(dict(baggage.get_all(parent_context)))
        self.parents.append(trace.get_current_span(parent_context).get_span_context().span_id)
        span.set_attribute("seen", True)
        span.set_attributes({"more": 1})
        span.add_event("started", {"a": 1})

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True  # the SDK of 1.30 takes what its base class returns, None, for a failure

    def on_end(self, span: ReadableSpan) -> None:
        self.order.append(("end", span.name, span.end_time is None))


def _provided(provider: Any, **options: Any) -> mqtrace.Tracer:
    tracer = mqtrace.Tracer("shop", exporter="opentelemetry:", **options)
    exporter = tracer.settings.exporter
    assert isinstance(exporter, ProviderExporter)
    exporter._provider = lambda: provider
    return tracer


def test_the_processors_of_the_applications_provider_see_our_spans_start_and_end(
    tracers: list[mqtrace.Tracer],
) -> None:
    kept, seen = InMemorySpanExporter(), Seen()
    provider = TracerProvider(resource=Resource({"service.name": "theirs"}))
    provider.add_span_processor(seen)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracers.append(tracer := _provided(provider))
    with tracer.start_span("outer") as outer, tracer.start_span("inner"):
        pass
    assert tracer.flush(5)
    inner, _ = kept.get_finished_spans()
    assert inner.resource.attributes == {"service.name": "theirs"}
    assert dict(inner.attributes or {}) == {"seen": True, "more": 1}
    assert [event.name for event in inner.events] == ["started"]
    assert seen.order == [
        ("start", "inner", True),
        ("end", "inner", False),
        ("start", "outer", True),
        ("end", "outer", False),
    ]
    assert seen.parents == [int(outer.span_id, 16), 0]
    assert tracer.stats()["spans_exported"] == 2
    assert tracer.shutdown(1)
    provider.get_tracer("t").start_span("still").end()
    assert len(kept.get_finished_spans()) == 3, "the provider is the application's: it goes on"


def test_the_provider_is_looked_up_at_each_export(
    tracers: list[mqtrace.Tracer], caplog: pytest.LogCaptureFixture
) -> None:
    tracer = _provided(trace.ProxyTracerProvider())
    tracers.append(tracer)
    for _ in range(2):
        tracer.start_span("lost").end()
        assert not tracer.flush(5)
    assert tracer.stats()["spans_dropped"]["export_failed"] == 2
    (line,) = caplog.records
    assert "set_tracer_provider" in line.getMessage()
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer.settings.exporter._provider = lambda: provider
    tracer.start_span("work").end()
    assert tracer.flush(5)
    assert [span.name for span in kept.get_finished_spans()] == ["work"]


def test_a_batch_processor_of_2048_loses_none_of_15000(tracers: list[mqtrace.Tracer]) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(kept))
    tracers.append(tracer := _provided(provider))
    for _ in range(15_000):
        tracer.start_span("work").end()
    assert tracer.flush(30)
    provider.force_flush()
    assert len(kept.get_finished_spans()) == 15_000
    provider.shutdown()


def test_a_batch_processor_with_a_short_queue_loses_none(tracers: list[mqtrace.Tracer]) -> None:
    class Slow(InMemorySpanExporter):
        def export(self, spans: Any) -> Any:
            time.sleep(0.001)
            return super().export(spans)

    kept = Slow()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    provider.add_span_processor(BatchSpanProcessor(kept, max_queue_size=60, max_export_batch_size=30))
    tracers.append(tracer := _provided(provider))
    for _ in range(2_000):
        tracer.start_span("work").end()
    assert tracer.flush(30)
    assert len(kept.get_finished_spans()) == 2_000
    provider.shutdown()


def test_a_flush_goes_through_to_the_provider(tracers: list[mqtrace.Tracer]) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(kept, schedule_delay_millis=600_000))
    tracers.append(tracer := _provided(provider))
    tracer.start_span("work").end()
    assert tracer.flush(10)
    assert [span.name for span in kept.get_finished_spans()] == ["work"]
    provider.shutdown()


def test_a_flush_that_the_exporter_does_not_finish_is_false(tracers: list[mqtrace.Tracer]) -> None:
    class Slow(Kept):
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return False

    tracer = mqtrace.Tracer("shop", exporter=Slow())
    tracers.append(tracer)
    tracer.start_span("work").end()
    assert not tracer.flush(5)


@pytest.mark.parametrize("configured", ["before the provider", "after the provider"])
def test_spans_leave_at_the_exit_before_the_provider_shuts_down(configured: str) -> None:
    program = """
import sys
import mqtrace
import mqtrace.export.lifecycle  # as mqtrace's exporter of the SDK does, which OTEL_TRACES_EXPORTER=kafka names
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
class Printed(SpanExporter):
    def export(self, spans):
        print([span.name for span in spans])
    def shutdown(self):
        print("shut down")
if sys.argv[1] == "before the provider":
    mqtrace.configure("shop", exporter="opentelemetry:")
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Printed()))
trace.set_tracer_provider(provider)
if sys.argv[1] != "before the provider":
    mqtrace.configure("shop", exporter="opentelemetry:")
mqtrace.start_span("work").end()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, configured], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["['work']", "shut down"], done.stderr


def test_a_processor_that_raises_loses_its_span_and_is_said_once(
    tracers: list[mqtrace.Tracer], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("no")

    provider = TracerProvider()
    provider.add_span_processor(Broken())
    tracers.append(tracer := _provided(provider))
    for _ in range(3):
        tracer.start_span("work").end()
    assert not tracer.flush(5)
    assert tracer.stats()["spans_dropped"]["export_failed"] == 3
    assert len(caplog.records) == 1


def test_nothing_of_the_sdk_is_imported_by_who_does_not_ask(tmp_path: Any) -> None:
    program = (
        "import sys, mqtrace\n"
        "mqtrace.configure('a', exporter='none:')\n"
        "class Mine:\n"
        "    def export(self, spans): pass\n"
        "    def shutdown(self, timeout): pass\n"
        "mqtrace.configure('a', exporter=Mine())\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MQTRACE_"))}
    subprocess.run([sys.executable, "-c", program], check=True, env=environ, timeout=60)
