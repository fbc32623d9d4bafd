"""A call within its span: how the span ends with what the call raised.

The span ends inside the ``try``: a handler of a signal may raise before its ``end`` has begun, and then the ``except``
ends it. An exception that comes after the end was not the call's.
"""

from __future__ import annotations

from mqtrace.core import NoopSpan, Span, restore

__all__ = ["close", "end"]


def close(span: Span | NoopSpan, error: BaseException | None) -> None:
    """End a process span that was made current, with the exception that its handler raised."""
    restore(span)
    end(span, None if isinstance(error, GeneratorExit) else error)


def end(span: Span | NoopSpan, error: BaseException | None) -> None:
    """End a span with the exception that its call raised.

    Unless it has ended: the handler did that itself, or the exception is an interrupt that came after it.
    """
    if span.ended:
        return
    if error is not None:
        span.fail(error)
    span.end()
