"""What a span costs the thread that exports it over HTTP: encoding, gzip, request and answer, in batches of 100.

CPU is that of the calling thread (``time.thread_time``), minima of rounds, us a span; the receiver is another process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.steady import steady

from .receiver import receiving

__all__ = ["figures"]

_SPANS = 100


def figures(name: str, address: str, count: int) -> dict[str, float]:
    """CPU of an export, ours and OpenTelemetry's."""
    rounds = max(5, count // 20)
    if name == "mqtrace":
        return _ours(rounds)
    return _theirs(rounds) if name == "opentelemetry" else {}


def _ours(rounds: int) -> dict[str, float]:
    from mqtrace.export import from_url
    from mqtrace.otel.readable_span import Converter

    made = _spans()
    convert = Converter()
    with receiving() as (url, _):
        exporter = from_url(url)
        settled: list[int] = []
        found = {
            "http export": steady(
                lambda: _least(lambda: exporter.submit(made, lambda n, *_: settled.append(n)), rounds)
            ),
            "readable span": steady(lambda: _least(lambda: [convert(span) for span in made], rounds)),
        }
        exporter.shutdown(1)
        assert set(settled) == {_SPANS}, "each batch arrived whole"
    return found


def _theirs(rounds: int) -> dict[str, float]:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    made = _spans_of_the_sdk()
    with receiving() as (url, _):
        exporter = OTLPSpanExporter(f"{url}/v1/traces", compression=Compression.Gzip)
        results: set[Any] = set()
        found = {"http export": steady(lambda: _least(lambda: results.add(exporter.export(made)), rounds))}
        exporter.shutdown()  # type: ignore[no-untyped-call]  # it has no annotations
        assert results == {SpanExportResult.SUCCESS}, "each batch arrived whole"
    return found


def _spans() -> list[Any]:
    import mqtrace
    from bench.kafka.mqtrace_only import spans

    mqtrace.configure("bench", exporter="none:", propagators="tracecontext")
    return spans()


def _spans_of_the_sdk() -> list[Any]:
    """What _ours exports, as the SDK's own spans: half of them sent, half of them processed with a link."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("bench")
    kinds = {"producer": trace.SpanKind.PRODUCER, "consumer": trace.SpanKind.CONSUMER}
    above: Any = None
    for ours in _spans():
        links = [trace.Link(above.get_span_context())] if ours.kind == "consumer" else []
        context = trace.set_span_in_context(above) if links else None
        above = tracer.start_span(ours.name, context, kinds[ours.kind], dict(ours.attributes), links)
        above.end()
    return list(kept.get_finished_spans())


def _least(export: Callable[[], object], rounds: int) -> float:
    least = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        export()
        least = min(least, time.thread_time() - began)
    return least / _SPANS * 1e6
