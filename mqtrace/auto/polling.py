"""Process spans for loops that have no handler: from one poll to the next.

A program that polls a Kafka consumer and works on the message in the loop's body has no call that a span could cover.
Under ``mqtrace run``, and only there, the span of a message begins when a poll returns it, is current in the
body, and ends with the next poll, the close, or the iterator's next; the messages of one ``consume(n)`` share a batch
span.

If the body calls a decorated handler, or opens ``mqtrace.process``, that takes the span over, so that a message has one
span. MQTRACE_POLL=none turns these spans off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

import mqtrace
from mqtrace.core import BatchSpan, NoopSpan, Span, attach, restore
from mqtrace.environment import Environment
from mqtrace.messaging import Batch, MessageAdapter, Operation, register
from mqtrace.messaging.adapters import adapters

__all__ = ["PollLoop", "is_wanted"]


def is_wanted() -> bool:
    """Whether poll loops have spans: MQTRACE_POLL is not ``none``."""
    environment = Environment(os.environ)
    chosen = environment.text("MQTRACE_POLL") or "process"
    if chosen.lower() not in ("process", "none"):
        environment.warn(f"MQTRACE_POLL={chosen[:40]!r} is neither 'process' nor 'none': process is used")
    return chosen.lower() != "none"


class PollLoop:
    """The messages that one consumer returned last, and their span."""

    __slots__ = ("_messages", "_span", "_token")

    def __init__(self) -> None:
        self._span: Span | NoopSpan | None = None
        self._messages: tuple[Any, ...] = ()
        #: Restores what was current before. Not on the span, whose token a handler sets that takes the span over.
        self._token: Any = None

    def polled(self, message: Any) -> Any:
        """Begin the span of the message that a poll returned, if it is one. Returns the message."""
        if message is not None:
            span = mqtrace.process(message)  # which finds the adapter of the first message
            _take_over_from_now_on(type(message))
            self._begin(span, (message,))
        return message

    def consumed(self, messages: Any) -> Any:
        """Begin the span of the messages that one call returned. Returns them as they are."""
        if messages:
            span = mqtrace.batch(messages)
            for kind in {type(message) for message in messages}:
                _take_over_from_now_on(kind)
            self._begin(span, tuple(messages))
        return messages

    def end(self) -> None:
        """End the span of the messages that were returned before: the loop's body is done with them."""
        span = self.drop()
        if span is not None and not span.ended:
            span.end()

    def _begin(self, span: Span | NoopSpan, messages: tuple[Any, ...]) -> None:
        if span.identity is None and span.baggage is None:
            return  # an event, the end of a partition
        self._token = attach(span)
        self._span = span
        self._messages = messages
        for message in messages:
            _open[id(message)] = (message, self)

    def taken_over(self, operation: Operation, adapter: MessageAdapter, message: Any) -> Span | NoopSpan | None:
        """The span of a message for the handler that is about to be called with it."""
        span = self._span
        if span is None or span.ended:
            return adapter.begin(operation, message)
        if isinstance(span, BatchSpan) or len(self._messages) > 1:
            self.drop()  # each message has a span of its own
            return adapter.begin(operation, message)
        own_span = adapter.begin(operation, message)
        if isinstance(own_span, Span) and isinstance(span, Span):
            span.template = own_span.template  # the handler's name and tracer: its span was started to have them
        return span

    def drop(self) -> Span | NoopSpan | None:
        """Forget the span, which is not current any more. If it has not ended it never leaves: others replace it."""
        span, self._span = self._span, None
        for message in self._messages:
            _open.pop(id(message), None)
        self._messages = ()
        if span is not None:
            span.token, self._token = self._token, None
            restore(span)
        return span


#: Messages whose span is open, by id: the message, and its loop.
_open: Final[dict[int, tuple[Any, PollLoop]]] = {}


class _TakingOver:
    """An adapter of messages that looks for an open span first."""

    def __init__(self, adapter: MessageAdapter) -> None:
        self._adapter = adapter

    def begin(self, operation: Operation, message: Any) -> Span | NoopSpan | None:
        """The span that is open for this message, or a new one."""
        open_entry = _open.get(id(message))
        if open_entry is None or open_entry[0] is not message:
            return self._adapter.begin(operation, message)
        return open_entry[1].taken_over(operation, self._adapter, message)

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        as_sequence: Sequence[Any] = messages if isinstance(messages, Sequence) else list(messages)
        for message in as_sequence:
            open_entry = _open.get(id(message))
            if open_entry is not None and open_entry[0] is message:
                open_entry[1].drop()
        return self._adapter.collect(operation, as_sequence)


def _take_over_from_now_on(kind: type) -> None:
    adapter = adapters.get(kind)
    if adapter is not None and not isinstance(adapter, _TakingOver):
        register(kind, _TakingOver(adapter))
