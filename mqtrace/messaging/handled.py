"""``process`` of a message that is being handled already: in the callback of a wrapped client, which has its span."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

from mqtrace.core import NoopSpan, Span, attach, current_span, detach, keep_recent

__all__ = ["HandledSpan", "is_noted"]

# By id of a span that is open: the id of the error that a block within it has noted last.
_noted: Final[dict[int, int]] = {}
_KEPT: Final = 256


class HandledSpan(NoopSpan):
    """A block within the open span of its message: ``as span`` is that span, and the block does not end it.

    An error that leaves the block is noted on the span, also if the callback handles it.
    """

    __slots__ = ("_entered", "span")

    def __init__(self, span: Span | NoopSpan) -> None:
        super().__init__(span.identity, span.state, span.baggage)
        self.span = span
        self._entered: Any = None

    def __enter__(self) -> Any:
        if current_span() is not self.span:
            self._entered = attach(self.span)
        return self.span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            try:
                detach(entered)
            except ValueError:
                pass  # the block is left in another context, where the span never was current
        if error is not None and kind is not GeneratorExit and isinstance(self.span, Span):
            self.span.fail(error)
            keep_recent(_noted, id(self.span), id(error), _KEPT)


def is_noted(span: Span | NoopSpan, error: BaseException) -> bool:
    """Whether a block within the span has noted this error, which leaves the callback now."""
    return _noted.pop(id(span), 0) == id(error) and span.status == "error"
