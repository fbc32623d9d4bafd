"""Log records that say which trace they belong to: for the standard library's ``logging`` and for structlog.

Four fields, named as OpenTelemetry's log data model names them ("Trace Context Fields") and written as text:
``trace_id`` (32 lowercase hex characters), ``span_id`` (16), ``trace_flags`` ("01" sampled, "00" not) and
``service_name``. They are those of what is current where the record is made: in its thread, task or generator.
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
    """The fields of what is current; empty texts where there is no trace."""
    span = current_span()
    identity = span.identity
    if identity is None:
        return _NO_TRACE
    text = identity.decode("ascii")
    return {
        "trace_id": text[3:35],
        "span_id": text[36:52],
        "trace_flags": "01" if identity[54] & 1 else "00",  # ASCII digits are odd where the number is
        "service_name": span.service if isinstance(span, Span) else tracers.default().service,
    }


class TraceContextFilter(logging.Filter):
    """``handler.addFilter(TraceContextFilter())``: every record of that handler has the four fields.

    They are set in the thread that logs, so a QueueHandler wants the filter on itself and not on its listener's
    handlers. What a record says already, from ``extra=`` for one, stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the fields on the record; every record passes."""
        said = record.__dict__
        for name, value in _fields().items():
            said.setdefault(name, value)
        return True


class _Said(dict[str, Any]):
    """A record's attributes, in which the four fields are not yet said by anybody.

    ``Logger.makeRecord`` refuses an ``extra=`` that names what the record has already, and asks with ``in``. Whoever
    passes a ``trace_id`` of their own there has to be able to go on.
    """

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return name not in _FIELDS and super().__contains__(name)


class _Factory:
    """A factory of log records around the one that was there."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self.before = before
        self.active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.before(*args, **kwargs)
        if self.active:
            record.__dict__ = _Said({**_fields(), **record.__dict__})
        return record


_installed: _Factory | None = None


def install() -> None:
    """Give every log record of the process the four fields (``logging.setLogRecordFactory``). Twice is once.

    A factory that is there already is called as before. ``extra={"trace_id": ...}`` of a call wins.
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
    """A processor for structlog: the four fields in the event, left out where there is no trace.

    ``structlog.configure(processors=[mqtrace.logging.add_trace_context, ...])``. What the event says already stays.
    """
    fields = _fields()
    if fields is not _NO_TRACE:
        for name, value in fields.items():
            event_dict.setdefault(name, value)
    return event_dict
