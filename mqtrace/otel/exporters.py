"""Spans of mqtrace through exporters and processors of OpenTelemetry's SDK, from mqtrace's worker.

``exporter=OTLPSpanExporter(...)``: any SpanExporter, with mqtrace's queue and batches before it. ``opentelemetry:``:
the processors that the application has put into its own TracerProvider.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mqtrace import core
from mqtrace.export import Exported
from mqtrace.export.limited_log import LimitedLog

from .readable_span import Converter, ExportedSpan, convert_all

__all__ = ["ProviderExporter", "SpanExporterAdapter", "adapted"]

# The key that the SDK's processors set while they export, so that the export is not traced.
_SUPPRESS: Final[Any] = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
# Half of the SDK's default queue: a full BatchSpanProcessor drops spans and does not report it.
_PACE: Final = 1024


def _pace(processor: Any) -> int:
    """After how many spans to flush: half of the shortest queue, of those that are found. There is no public way."""
    batch = getattr(processor, "_batch_processor", processor)
    length = getattr(batch, "_max_queue_size", None) or getattr(batch, "max_queue_size", None)
    shortest = length // 2 if isinstance(length, int) else _PACE
    within = getattr(processor, "_span_processors", ())
    return max(1, min(_PACE, shortest, *map(_pace, within)))


@contextmanager
def _not_traced() -> Iterator[None]:
    token = context.attach(context.set_value(_SUPPRESS, True))
    try:
        yield
    finally:
        context.detach(token)


class SpanExporterAdapter:
    """An exporter of mqtrace that hands batches to an SDK's ``exporter``. FAILURE counts as ``export_failed``."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter
        self._convert = Converter()

    def export(self, spans: Sequence[core.Span]) -> Exported:
        """Have the SDK's exporter export them."""
        readable, lost = convert_all(self._convert, spans)
        with _not_traced():
            result = self.exporter.export(readable) if readable else SpanExportResult.SUCCESS
        if result is SpanExportResult.FAILURE:
            return Exported(0, 0, {"encode_failed": lost, "export_failed": len(readable)})
        return Exported(len(readable), 0, {"encode_failed": lost})  # one that returns nothing has not failed

    def flush(self, timeout: float) -> bool:
        """Have the SDK's exporter send what it holds."""
        with _not_traced():
            return self.exporter.force_flush(_ms(timeout)) is not False

    def shutdown(self, timeout: float) -> None:
        """Shut the SDK's exporter down."""
        parameters = inspect.signature(self.exporter.shutdown).parameters
        if "timeout_millis" in parameters:  # OTLP over gRPC waits for an export that is under way
            self.exporter.shutdown(timeout_millis=_ms(timeout))  # type: ignore[call-arg]  # by the line above
        else:
            self.exporter.shutdown()


class ProviderExporter:
    """Hands spans to the processors of the current TracerProvider, which is looked up at each export.

    The provider's resource holds. ``on_start`` and ``on_end`` are both called here, in the worker: ``on_start`` may set
    attributes, as on any span. After each 1024 spans, or half the queue of a BatchSpanProcessor that has a shorter one,
    the processors are flushed, because it drops spans beyond its queue without a word. The provider belongs to the
    application: :meth:`shutdown` does not end it.
    """

    #: Set by the processor: seconds.
    export_timeout: float = 30.0
    #: A provider is made after mqtrace is imported, mostly, and its own atexit would come first.
    ends_at_exit = True

    def __init__(self, provider: Callable[[], Any] = trace.get_tracer_provider) -> None:
        self._provider = provider
        self._log = LimitedLog(logging.getLogger("mqtrace.otel"))
        self._convert: tuple[object, Converter] = (None, Converter())
        self._since_flush = 0

    def export(self, spans: Sequence[core.Span]) -> Exported:
        """Have the provider's processors take them."""
        provider = self._provider()
        processor = getattr(provider, "_active_span_processor", None)  # there is no public way to it
        if processor is None:
            self._log.warning(
                "provider",
                f"spans are lost: OpenTelemetry's tracer provider is a {type(provider).__name__}, which exports "
                "nothing: call opentelemetry.trace.set_tracer_provider with the SDK's",
            )
            return Exported(0, 0, {"export_failed": len(spans)})
        resource = getattr(provider, "resource", None)
        if self._convert[0] is not resource:
            self._convert = resource, Converter(resource)
        convert = self._convert[1]
        lost = 0
        pace = _pace(processor)
        with _not_traced():
            for span in spans:
                self._since_flush += 1
                try:
                    started = convert(span, StartedSpan)
                    started.run(processor, span)
                except Exception as error:  # noqa: BLE001  # a processor may raise anything
                    self._log.warning(
                        type(error), f"a processor of OpenTelemetry's raised {type(error).__name__}", error
                    )
                    lost += 1
                if self._since_flush >= pace:
                    self.flush(self.export_timeout)
        return Exported(len(spans) - lost, 0, {"export_failed": lost})

    def flush(self, timeout: float) -> bool:
        """Have the processors send what they hold."""
        self._since_flush = 0
        flush = getattr(self._provider(), "force_flush", None)
        if flush is None:
            return True
        with _not_traced():
            return flush(_ms(timeout)) is not False

    def shutdown(self, timeout: float) -> bool:
        """Flush."""
        return self.flush(timeout)


class StartedSpan(ExportedSpan, trace.Span):  # type: ignore[misc]  # as the SDK's own Span: one says | None
    """A span between ``on_start`` and ``on_end``: a processor may write to it, as to the SDK's own."""

    def run(self, processor: Any, span: core.Span) -> None:
        """Call the processor's ``on_start`` and ``on_end``."""
        ended, self._end_time = self._end_time, None
        self._attributes: Any = dict(self._attributes or {})
        self._events: Any = list(self._events)
        self._links: Any = list(self._links)
        processor.on_start(self, parent_context=self._parent_context(span))
        self._end_time = ended
        processor.on_end(self)

    def _parent_context(self, span: core.Span) -> context.Context | None:
        held = getattr(span, "baggage", None)
        if self._parent is None and not held:
            return context.Context()
        parent_context = context.Context()
        if self._parent is not None:
            parent_context = trace.set_span_in_context(trace.NonRecordingSpan(self._parent), parent_context)
        for name, value in (held or {}).items():
            parent_context = baggage.set_baggage(name, getattr(value, "value", value), parent_context)
        return parent_context

    # ------------------------------------------------------------------ OpenTelemetry's trace.Span

    def is_recording(self) -> bool:
        """True until on_end."""
        return self._end_time is None

    def set_attributes(self, attributes: Any) -> None:
        """As the API says."""
        if self.is_recording():
            self._attributes.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """As the API says."""
        self.set_attributes({key: value})

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """As the API says."""
        if self.is_recording():
            self._events.append(Event(name, attributes, timestamp))

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        """As the API says."""
        if self.is_recording():
            self._links.append(trace.Link(context, attributes))

    def update_name(self, name: str) -> None:
        """As the API says."""
        if self.is_recording():
            self._name = name

    def set_status(self, status: Any, description: str | None = None) -> None:
        """As the API says."""
        if self.is_recording():
            self._status = status if isinstance(status, trace.Status) else trace.Status(status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """As the API says, without a stack trace."""
        fields = {"exception.type": type(exception).__qualname__, "exception.message": str(exception)}
        self.add_event("exception", {**fields, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """It is mqtrace's to end."""


def _ms(seconds: float) -> int:
    return max(0, min(round(seconds * 1000), 1 << 31))


def adapted(exporter: object) -> SpanExporterAdapter | None:
    """An exporter of mqtrace around one of the SDK; None for any other object."""
    return SpanExporterAdapter(exporter) if isinstance(exporter, SpanExporter) else None
