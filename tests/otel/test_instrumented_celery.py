"""Celery tasks that OpenTelemetry's instrumentation traces too: spans of mqtrace alone, in either order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace
from mqtrace.clients import instrumented
from mqtrace.testing import record

celery: Any = pytest.importorskip("celery")
instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.celery")
workers: Any = pytest.importorskip("celery.contrib.testing.worker")
pytest.importorskip("celery.contrib.testing.tasks")  # the worker wants its ping


def make_app(name: str) -> Any:
    app = celery.Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = name
    app.loader.import_default_modules()

    @app.task(name=f"{name}.add", bind=True)  # type: ignore[untyped-decorator,unused-ignore]  # Celery has no types
    def add(self: Any, fails: bool = False) -> str:
        if fails and self.request.retries == 0:
            raise self.retry(countdown=0, max_retries=1)
        if fails:
            raise ValueError
        return format(trace.get_current_span().get_span_context().span_id, "016x")

    return app


@pytest.fixture
def theirs() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def instrument(theirs: InMemorySpanExporter) -> Iterator[Callable[[], None]]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    instrumentor = instrumentation.CeleryInstrumentor()
    yield lambda: instrumentor.instrument(tracer_provider=provider)
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    mqtrace.uninstrument_celery()


class Said(logging.Handler):
    """What a logger said. A worker takes away what hangs on the root logger, and forgets loggers' names."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        logger.addHandler(self)
        logger.setLevel(logging.WARNING)  # a worker sets the level of the root

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run(app: Any, **arguments: Any) -> Any:
    """What the task returns: the span that OpenTelemetry calls current in it."""
    with workers.start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
        result = app.tasks[f"{app.main}.add"].delay(**arguments)
        return result.get(timeout=10, propagate=False)


def test_without_us_theirs_makes_its_spans(theirs: InMemorySpanExporter, instrument: Callable[[], None]) -> None:
    instrument()
    run(make_app("alone"))
    assert sorted(span.name for span in theirs.get_finished_spans()) == ["apply_async/alone.add", "run/alone.add"]


@pytest.mark.parametrize("first", ["theirs", "ours", "theirs, after a task"])
def test_a_task_is_traced_once(theirs: InMemorySpanExporter, instrument: Callable[[], None], first: str) -> None:
    app = make_app("once")
    with record() as spans:
        if first == "theirs":
            instrument()
        mqtrace.instrument_celery(app)
        if first == "theirs, after a task":
            run(app)
            spans.clear()
        if first != "theirs":
            instrument()
        current = run(app)
    assert [span.name for span in spans] == ["send once.add", "process once.add"]
    assert spans[1].parent_id == spans[0].span_id
    assert theirs.get_finished_spans() == ()
    assert current == spans[1].span_id


def test_a_retry_and_a_failure_are_traced_once(theirs: InMemorySpanExporter, instrument: Callable[[], None]) -> None:
    said = Said(instrumentation.logger)
    app = make_app("fails")
    instrument()
    with record() as spans:
        mqtrace.instrument_celery()
        run(app, fails=True)
    assert sorted(span.name for span in spans) == 2 * ["process fails.add"] + 2 * ["send fails.add"]
    assert theirs.get_finished_spans() == ()
    assert said.lines == []


def test_an_app_that_is_not_traced_by_us_is_theirs(
    theirs: InMemorySpanExporter, instrument: Callable[[], None]
) -> None:
    ours, other = make_app("ours"), make_app("other")
    instrument()
    with record() as spans:
        mqtrace.instrument_celery(ours)
        run(other)
        run(ours)
    assert [span.name for span in spans] == ["send ours.add", "process ours.add"]
    assert sorted(span.name for span in theirs.get_finished_spans()) == ["apply_async/other.add", "run/other.add"]


def test_it_is_theirs_again_when_ours_is_taken_away(
    theirs: InMemorySpanExporter, instrument: Callable[[], None]
) -> None:
    app = make_app("again")
    instrument()
    mqtrace.instrument_celery(app)
    with record():
        run(app)
        assert theirs.get_finished_spans() == ()
        mqtrace.uninstrument_celery()
        run(app)
    assert len(theirs.get_finished_spans()) == 2


def test_while_mqtrace_is_not_configured_it_is_theirs(
    theirs: InMemorySpanExporter, instrument: Callable[[], None]
) -> None:
    app = make_app("early")
    instrument()
    mqtrace.instrument_celery(app)
    run(app)
    assert sorted(span.name for span in theirs.get_finished_spans()) == ["apply_async/early.add", "run/early.add"]
    theirs.clear()
    with record() as spans:
        run(app)
    assert [span.name for span in spans] == ["send early.add", "process early.add"]
    assert theirs.get_finished_spans() == ()


def test_it_is_said_once_which_instrumentation_to_disable(
    instrument: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrumented, "_warned", set())
    app = make_app("said")
    instrument()
    mqtrace.instrument_celery(app)
    said = Said(instrumented.log)
    with record():
        run(app)
        run(app)
    assert len(said.lines) == 1
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=celery" in said.lines[0]
