"""A call within its span, which ends with the exception that the call raised.

The span ends inside the ``try``: a handler of a signal may raise before ``end`` has begun, and then the ``except`` ends
the span. An exception that comes after the end was not the call's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.core import NoopSpan, Span, attach, detach, release_baggage, restore

from .handled import is_noted

__all__ = ["close", "end", "run"]


def run(span: Span | NoopSpan, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a handler in its process span, which is current meanwhile.

    Two callers have these lines written out, since a call is 3 % of a process span, and they run thousands of times a
    second with nothing else around: the decorator (handlers.py) and a callback of pika.
    """
    token = attach(span)
    try:
        result = call(*arguments)
        if not span.ended:
            span.end()
    except BaseException as error:
        detach(token)
        span.token = None
        close(span, error)
        raise
    detach(token)
    if span.baggage is not None:
        release_baggage(span)
    return result


def close(span: Span | NoopSpan, error: BaseException | None) -> None:
    """End a process span that was made current, with the exception that its handler raised."""
    restore(span)
    end(span, None if isinstance(error, GeneratorExit) else error)


def end(span: Span | NoopSpan, error: BaseException | None) -> None:
    """End a span with the exception that its call raised.

    A span that has ended stays as it is: the handler ended it itself, or the exception is an interrupt that came later.
    """
    if span.ended:
        return
    if error is not None and not is_noted(span, error):
        span.fail(error)
    span.end()
