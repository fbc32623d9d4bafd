"""OpenTelemetry's SDK to a Kafka topic: a SpanExporter over mqtrace's Kafka exporter.

``OTEL_TRACES_EXPORTER=kafka`` under ``opentelemetry-instrument``, or
``BatchSpanProcessor(mqtrace.otel.KafkaSpanExporter("kafka://host:9092/otlp_spans"))``. The bytes are made by
OpenTelemetry's own encoder, in its processor's thread; a message and its splitting are mqtrace's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mqtrace.core import ForkSafeLock
from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.export import kafka_url
from mqtrace.urls import Url

__all__ = ["KafkaSpanExporter"]

_SHUTDOWN_S: Final = 5.0
_POLL_S: Final = 0.05
_exporters: WeakSet[KafkaSpanExporter] = WeakSet()


class KafkaSpanExporter(SpanExporter):
    """Sends the SDK's spans to a topic, as OTLP in protobuf.

    ``url``: as for ``mqtrace.configure(exporter=...)``, else MQTRACE_EXPORTER. ConfigurationError if neither names a
    topic. ``timeout_s``: how long :meth:`export` waits for the broker's report.
    """

    def __init__(self, url: str | None = None, *, timeout_s: float = 30.0) -> None:
        environment = Environment(os.environ)
        text = url if url is not None else environment.text("MQTRACE_EXPORTER")
        if text is None:
            raise ConfigurationError(
                f"KafkaSpanExporter has no topic: pass a URL, {kafka_url.EXAMPLE}, or set MQTRACE_EXPORTER"
            )
        if not isinstance(text, str):
            raise ConfigurationError(f"url={text!r} is not text: write {kafka_url.EXAMPLE}")
        named = Url(text, label="url=" if url is not None else "MQTRACE_EXPORTER=", example=kafka_url.EXAMPLE)
        if named.scheme != "kafka":
            raise named.error(f"it is not the address of a topic: write {kafka_url.EXAMPLE}")
        target = kafka_url.parse(named, environment)
        if target.encoding != "otlp_proto":
            raise named.error("only encoding=otlp_proto is written for OpenTelemetry's SDK: leave the encoding out")
        try:
            from mqtrace.export import kafka
        except ModuleNotFoundError:
            raise named.error("it needs confluent-kafka, which is missing: pip install 'mqtrace[kafka]'") from None
        self._exporter: Any = kafka.from_target(
            target, named, environment, encode=_encoder(named), trace_id_of=_trace_id
        )
        self._exporter.export_timeout = timeout_s
        self._guard = ForkSafeLock()
        self._closed = False
        _exporters.add(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans and wait for the broker's report. SUCCESS: all of them arrived."""
        exported: list[int] = []

        def complete(count: int, size: int, lost: Mapping[str, int]) -> None:
            exported.append(count)

        with self._guard.lock:
            if self._closed:
                return SpanExportResult.FAILURE
            deadline = time.monotonic() + self._exporter.export_timeout
            self._exporter.submit(spans, complete)
            while not exported and time.monotonic() < deadline:
                self._exporter.poll(_POLL_S)
        return SpanExportResult.SUCCESS if exported == [len(spans)] else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """True: :meth:`export` has waited for everything."""
        return True

    def shutdown(self) -> None:
        """Close the connection."""
        with self._guard.lock:
            if not self._closed:
                self._closed = True
                self._exporter.shutdown(_SHUTDOWN_S)

    def after_fork(self) -> None:
        """In a forked child: do not touch the parent's producer."""
        self._exporter.after_fork()


def _encoder(url: Url) -> Callable[[Sequence[Any]], bytes]:
    try:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    except ModuleNotFoundError:
        raise url.error(
            "OpenTelemetry's encoder is missing: pip install opentelemetry-exporter-otlp-proto-common"
        ) from None

    def encode(spans: Sequence[Any]) -> bytes:
        return bytes(encode_spans(spans).SerializeToString())

    return encode


def _trace_id(span: Any) -> bytes:
    return b"%032x" % span.context.trace_id


def _in_child() -> None:
    for exporter in list(_exporters):
        exporter.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_in_child)
