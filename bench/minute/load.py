"""The load, in a process whose memory is nobody else's: ``python -m bench.minute.load VARIANT URL RATE SECONDS``.

It prints a line of JSON: counts, CPU of the whole process, resident memory after a quarter and at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import psutil  # type: ignore[import-untyped]  # it ships no types

__all__ = ["run"]

_TICK_S: Final = 0.01


class Tracing(NamedTuple):
    """``end(number)`` makes a span and ends it. ``settle()``: everything has left; counts, as far as they are known."""

    end: Callable[[int], None]
    settle: Callable[[], dict[str, Any]]


def run(tracing: Tracing, rate: int, seconds: float) -> dict[str, Any]:
    """End ``rate`` spans a second."""
    process = psutil.Process()
    ended, began, quarter = 0, time.monotonic(), 0
    cpu = time.process_time()
    while (elapsed := time.monotonic() - began) < seconds:
        for _ in range(int(elapsed * rate) - ended):
            tracing.end(ended)
            ended += 1
        if not quarter and elapsed > seconds / 4:
            quarter = process.memory_info().rss
        time.sleep(_TICK_S)
    settled = tracing.settle()
    memory = process.memory_info().rss
    cpu = time.process_time() - cpu
    return {
        "spans_ended": ended,
        **settled,
        "cpu_us_a_span": round(cpu / max(1, ended) * 1e6, 2),
        "rss_quarter": quarter,
        "rss_end": memory,
        "rss_growth": memory - quarter,
    }


def mqtrace(url: str) -> Tracing:
    """mqtrace, as it is without a setting."""
    import mqtrace

    tracer = mqtrace.Tracer("minute", exporter=url)

    def end(number: int) -> None:
        tracer.start_span("work", kind="consumer", attributes={"order": number, "shop": "north"}).end()

    def settle() -> dict[str, Any]:
        flushed, stats = tracer.flush(30), tracer.stats()
        dropped = sum(stats["spans_dropped"].values())
        return {"spans_exported": stats["spans_exported"], "spans_dropped": dropped, "flushed": flushed}

    return Tracing(end, settle)


def opentelemetry(url: str) -> Tracing:
    """OpenTelemetry's SDK as its documentation sets it up, compressed as mqtrace's. It counts nothing."""
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind

    provider = TracerProvider(resource=Resource.create({"service.name": "minute"}))
    exporter = OTLPSpanExporter(f"{url}/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("minute")

    def end(number: int) -> None:
        tracer.start_span("work", kind=SpanKind.CONSUMER, attributes={"order": number, "shop": "north"}).end()

    return Tracing(end, lambda: {"flushed": provider.force_flush(30_000)})


if __name__ == "__main__":
    _variant, _url, _rate, _seconds = sys.argv[1:]
    _make = {"mqtrace": mqtrace, "opentelemetry": opentelemetry}[_variant]
    print(json.dumps(run(_make(_url), int(_rate), float(_seconds))))
