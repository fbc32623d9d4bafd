"""The trace that a log record belongs to: for the standard library's ``logging`` and for structlog.

A record gets four fields, named as in OpenTelemetry's log data model ("Trace Context Fields") and written as text:
``trace_id`` (32 lowercase hex characters), ``span_id`` (16), ``trace_flags`` ("01" sampled, "00" not) and
``service_name``. They are those of the span that is current where the record is made: in its thread, task or generator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from . import tracer as tracers
from .core import Span, current_span

__all__ = ["TraceContextFilter", "add_trace_context", "install", "uninstall"]

_FIELDS: Final[tuple[str, ...]] = ("trace_id", "span_id", "trace_flags", "service_name")
_NO_TRACE: Final[dict[str, str]] = dict.fromkeys(_FIELDS, "")


def _fields() -> dict[str, str]:
    """The fields of the current span; empty texts if there is no trace."""
    span = current_span()
    identity = span.identity
    if identity is None:
        return _NO_TRACE
    text = identity.decode("ascii")
    return {
        "trace_id": text[3:35],
        "span_id": text[36:52],
        "trace_flags": "01" if identity[54] & 1 else "00",  # an ASCII digit is odd if its number is
        "service_name": span.service if isinstance(span, Span) else tracers.default().service,
    }


class TraceContextFilter(logging.Filter):
    """``handler.addFilter(TraceContextFilter())``: every record of that handler has the four fields.

    They are set in the thread that logs, so with a QueueHandler the filter belongs on that, not on its listener's
    handlers. A field that a record has already, from ``extra=`` for one, stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the fields on the record; every record passes."""
        attributes = record.__dict__
        for name, value in _fields().items():
            attributes.setdefault(name, value)
        return True


class _RecordAttributes(dict[str, Any]):
    """A record's attributes, which deny with ``in`` that they have the four fields.

    ``Logger.makeRecord`` refuses an ``extra=`` with a name that is ``in`` the record's attributes. A program that
    passes a ``trace_id`` of its own there must go on working.
    """

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return name not in _FIELDS and super().__contains__(name)


class _Factory:
    """A factory of log records around the previous one."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self.before = before
        self.active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.before(*args, **kwargs)
        if self.active:
            record.__dict__ = _RecordAttributes({**_fields(), **record.__dict__})
        return record


_installed: _Factory | None = None


def install() -> None:
    """Give every log record of the process the four fields (``logging.setLogRecordFactory``). Again does nothing.

    An earlier factory is still called. ``extra={"trace_id": ...}`` of a call wins.
    """
    global _installed
    if _installed is None:
        _installed = _Factory(logging.getLogRecordFactory())
        logging.setLogRecordFactory(_installed)


def uninstall() -> None:
    """Undo :func:`install`. A factory that somebody put around ours stays, and ours passes records on as they are."""
    global _installed
    factory, _installed = _installed, None
    if factory is None:
        return
    if logging.getLogRecordFactory() is factory:
        logging.setLogRecordFactory(factory.before)
    factory.active = False


def add_trace_context(logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog, which adds the four fields to an event; none of them if there is no trace.

    ``structlog.configure(processors=[mqtrace.logging.add_trace_context, ...])``. A field that the event has stays.
    """
    fields = _fields()
    if fields is not _NO_TRACE:
        for name, value in fields.items():
            event_dict.setdefault(name, value)
    return event_dict
