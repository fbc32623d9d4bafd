"""``each``: a loop over messages, each of them current while the loop's body runs.

An iterator is not told when its loop is left by ``break`` or an exception. As a block, ``with mqtrace.each(...) as
messages:``, it leaves nothing current and records the exception.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextvars import Token
from types import TracebackType
from typing import Any, Generic, TypeVar

from mqtrace.core import NoopSpan, Span, attach, innermost_frame
from mqtrace.tracer import SpanTracer

from .handlers import begin, one_by_one, operation_of
from .run import close

__all__ = ["Each"]

M = TypeVar("M")


class _Turn:
    """The span of the message that the loop's body handles now, as long as that is open."""

    __slots__ = ("_tracer", "span")

    def __init__(self, tracer: SpanTracer | None) -> None:
        self._tracer = tracer
        self.span: Span | NoopSpan | None = None

    def start(self, message: Any) -> None:
        span = begin(operation_of(self._tracer, None, None), message)
        if span is not None:
            span.token = attach(span)
            self.span = span

    def end(self, error: BaseException | None = None) -> None:
        span, self.span = self.span, None
        if span is None:
            return
        if innermost_frame() is span:
            close(span, error)
            return
        # A turn of another loop has begun within this one and goes on (zip of two loops). Its end will make this span
        # current again, so whoever finds that is told what was current before.
        outer = getattr(span.token, "old_value", None)
        close(span, error)
        span.left_elsewhere(None if outer is Token.MISSING else outer)


class Each(Generic[M]):
    """The result of :func:`mqtrace.each`: an iterator, or an asynchronous one, and a block around a loop over it.

    It is lazy: it takes a message when the loop asks for one.
    """

    # The generator is of a function: a method's would keep the object that holds it, and no break would end it.
    __slots__ = ("_asynchronous", "_turn", "_turns")

    def __init__(self, messages: Iterable[M] | AsyncIterable[M], tracer: SpanTracer | None) -> None:
        self._turn = _Turn(tracer)
        self._asynchronous = isinstance(messages, AsyncIterable) and not isinstance(messages, Iterable)
        self._turns: Any = (_turns_asynchronously if self._asynchronous else _turns)(messages, self._turn)  # type: ignore[arg-type]  # the one it is

    def __iter__(self) -> Iterator[M]:
        self._expect(asynchronous=False)
        return self._turns  # type: ignore[no-any-return]  # itself an iterator, and a call a message cheaper than this one

    def __next__(self) -> M:
        self._expect(asynchronous=False)
        return next(self._turns)  # type: ignore[no-any-return]  # see above

    def __aiter__(self) -> AsyncIterator[M]:
        self._expect(asynchronous=True)
        return self._turns  # type: ignore[no-any-return]  # see above

    async def __anext__(self) -> M:
        self._expect(asynchronous=True)
        return await self._turns.__anext__()  # type: ignore[no-any-return]  # see above

    def __enter__(self) -> Each[M]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.end(error)
        if not self._asynchronous:
            self._turns.close()

    async def __aenter__(self) -> Each[M]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.end(error)
        if self._asynchronous:
            await self._turns.aclose()
        else:
            self._turns.close()

    def _expect(self, *, asynchronous: bool) -> None:
        if self._asynchronous is not asynchronous:
            raise TypeError(f"write {'async for' if self._asynchronous else 'for'} over mqtrace.each of these messages")


def _turns(messages: Iterable[M], turn: _Turn) -> Generator[M, None, None]:
    for message in one_by_one(messages):
        turn.start(message)
        try:
            yield message
        finally:
            turn.end()


async def _turns_asynchronously(messages: AsyncIterable[M], turn: _Turn) -> AsyncGenerator[M, None]:
    async for message in messages:
        turn.start(message)
        try:
            yield message
        finally:
            turn.end()
