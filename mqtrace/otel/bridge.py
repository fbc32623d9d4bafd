"""One current span for mqtrace and for OpenTelemetry's API.

Our variable (core/current.py) says which of the two made something current last. When OpenTelemetry attaches a context,
an :class:`AttachedFrame` becomes current here, a live view of OpenTelemetry's own variable, so that a span of mqtrace
is the child of their span by the same rules as below any other frame. The other way round, if a frame of ours is on
top, OpenTelemetry's runtime context returns a context that holds the frame as a
:class:`~mqtrace.otel.frame_span.FrameSpan`. It is made when somebody asks, so that a message whose handler does not ask
costs nothing.

OpenTelemetry's runtime context stays the object that it was, since libraries hold it; its class becomes a subclass.
This module is imported only once the process has imported ``opentelemetry.context``. The rest of OpenTelemetry's API is
imported at the first need: it may be half imported when this is.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from contextvars import Token
from types import MappingProxyType
from typing import Any, Final, cast

from opentelemetry import context as api
from opentelemetry.context.context import Context as TheirContext
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from mqtrace.core import (
    SUPPRESSED,
    Decision,
    Frame,
    NoopSpan,
    Span,
    attach,
    current_frame,
    detach,
    innermost_frame,
    open_frames,
)

__all__ = ["AttachedFrame", "RuntimeContext", "join", "leave"]

log = logging.getLogger("mqtrace")

# The keys that OpenTelemetry's instrumentations look up before they make a span, and the text that older ones use.
_SUPPRESSION: Final = tuple(
    getattr(api, name, "suppress_instrumentation")
    for name in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "")
)


class AttachedFrame:
    """OpenTelemetry's current context, as a frame.

    It is a live view: if contexts are detached in another order than they were attached, the frame still shows what
    OpenTelemetry has current. It is updated when ``ended`` is read, which is read first of every frame from the
    variable: properties for the other attributes would cost a message 0.2 us. ``theirs``: the token of the context
    that it was made for; None if that was attached before, or is current again.
    """

    __slots__ = (
        "_seen",
        "_their_current",
        "baggage",
        "identity",
        "is_left",
        "remote",
        "span",
        "state",
        "theirs",
        "token",
    )

    decision: Decision = "flag"

    #: The traceparent of their span; None if it has no valid one.
    identity: bytes | None
    #: Their trace state as a header.
    state: str | None
    #: Their baggage.
    baggage: Mapping[str, str] | None
    #: Whether their span is a context that was extracted from a request or a message.
    remote: bool
    #: Our span, if that is what their context holds.
    span: Span | NoopSpan | None

    def __init__(self, runtime: RuntimeContext, theirs: Token[TheirContext] | None) -> None:
        self._their_current: Callable[[], TheirContext] = runtime._current_context.get
        self._seen: TheirContext | None = None
        self.theirs = theirs
        self.token: Token[Frame | None] | None = None
        #: Whether OpenTelemetry detached it while a frame of ours was current above it.
        self.is_left = False

    @property
    def ended(self) -> int:
        """0: a live view does not end."""
        context = self._their_current()
        if context is not self._seen:
            self._read(context)
        return 0

    def __getattr__(self, name: str) -> Any:
        """The attributes, before they are read for the first time."""
        if name not in self.__slots__ or self.ended or self._seen is None:
            raise AttributeError(name)
        return getattr(self, name)

    def _read(self, context: TheirContext) -> None:
        trace, baggage, frame_span, context_of = _api()
        identity, state, remote, ours = None, None, False, None
        span = trace.get_current_span(context)
        if type(span) is frame_span:
            frame = span.frame
            identity, state, remote = frame.identity, frame.state, frame.remote
            ours = frame if isinstance(frame, Span | NoopSpan) else None
        else:
            their_ids = context_of(span.get_span_context())
            identity, state = their_ids.identity, their_ids.state
            remote = their_ids.remote and identity is not None
        members = baggage.get_all(context)
        self.identity, self.state, self.remote, self.span = identity, state, remote, ours
        self.baggage = MappingProxyType({str(name): str(value) for name, value in members.items()}) if members else None
        self._seen = context


class RuntimeContext(ContextVarsRuntimeContext):
    """OpenTelemetry's runtime context, joined with what is current in mqtrace.

    Also the entry point ``mqtrace`` of ``opentelemetry_context``, for OTEL_PYTHON_CONTEXT.
    """

    #: The last answer of get_current: (frame, OpenTelemetry's context, the context of both).
    _answered: tuple[Any, Any, Any] = (None, None, None)

    def attach(self, context: TheirContext) -> Token[TheirContext]:
        """Make a context current, there and here: by a frame, unless there is one already, which sees this one too.

        So what is attached and never detached is not kept here either: Flask's instrumentation leaves a context with
        each request, in threads that live long.
        """
        theirs = super().attach(context)
        while type(frame := innermost_frame()) is AttachedFrame:
            if not frame.is_left:
                return theirs
            try:
                detach(cast("Token[Frame | None]", frame.token))
            except ValueError:  # it was left in the context that this one is a copy of
                break
        self._attach(theirs)
        return theirs

    def _attach(self, theirs: Token[TheirContext] | None) -> None:
        frame = AttachedFrame(self, theirs)
        frame.token = attach(frame)

    def detach(self, token: Token[TheirContext]) -> None:
        """Make current what was before ``attach``; here too, unless something of ours has been made current since."""
        super().detach(token)
        frame = innermost_frame()
        if (
            type(frame) is AttachedFrame
            and frame.token is not None
            and (frame.theirs is token or (frame.theirs is None and not self._current_context.get()))
        ):
            detach(frame.token)
        else:
            for below in open_frames():
                if type(below) is AttachedFrame and below.theirs is token:
                    below.is_left = True
        if innermost_frame() is None and self._current_context.get():
            self._attach(None)  # detached in another order: what it had current before is so again

    def get_current(self) -> TheirContext:
        """The current context: OpenTelemetry's own, or one that holds our span if that was made current later."""
        context = self._current_context.get()
        frame = current_frame()
        if frame is None or type(frame) is AttachedFrame:
            return context
        seen, base, answer = self._answered
        if seen is frame and base is context:
            return answer  # type: ignore[no-any-return]  # a context, by the line that keeps it
        answer = _context_of(frame, context)
        self._answered = (frame, context, answer)
        return answer


@functools.cache
def _api() -> tuple[Any, Any, Any, Any]:
    """opentelemetry.trace, opentelemetry.baggage, and of frame_span.py FrameSpan and context_of."""
    from opentelemetry import baggage, trace

    from .frame_span import FrameSpan, context_of

    return trace, baggage, FrameSpan, context_of


def _context_of(frame: Frame, context: TheirContext) -> TheirContext:
    """OpenTelemetry's context with the span and the baggage of a frame of ours."""
    trace, baggage, frame_span, _ = _api()
    identity = frame.identity
    span = trace.INVALID_SPAN if identity is None else frame_span(getattr(frame, "span", None) or frame)
    answer: TheirContext = trace.set_span_in_context(span, context)
    if baggage.get_all(answer):
        answer = baggage.clear(answer)
    for name, value in (frame.baggage or {}).items():
        answer = baggage.set_baggage(name, value, answer)
    if identity is not None and identity[:35] == _SUPPRESSED_TRACE:
        for key in _SUPPRESSION:
            answer = api.set_value(key, True, answer)
    return answer


_SUPPRESSED_TRACE: Final = SUPPRESSED.identity[:35] if SUPPRESSED.identity is not None else b""


def join() -> bool:
    """Join the two. A context that this thread or task has attached already is the parent of the next span.

    False, and a warning, if OpenTelemetry runs on another runtime context than its own (OTEL_PYTHON_CONTEXT).
    """
    runtime: Any = api._RUNTIME_CONTEXT
    if type(runtime) is RuntimeContext:
        return True
    if type(runtime) is not ContextVarsRuntimeContext or not hasattr(runtime, "_current_context"):
        log.warning(
            "mqtrace is not joined with OpenTelemetry, whose runtime context is %s: only contextvars_context can be",
            type(runtime).__qualname__,
        )
        return False
    setattr(runtime, "__class__", RuntimeContext)  # noqa: B010  # the type checkers take an assignment for a mistake
    if runtime._current_context.get() and current_frame() is None:
        cast("RuntimeContext", runtime)._attach(None)
    return True


def leave() -> None:
    """Undo :func:`join`: from now on each of the two has a current span of its own."""
    runtime: Any = api._RUNTIME_CONTEXT
    if type(runtime) is RuntimeContext:
        runtime._answered = (None, None, None)
        setattr(runtime, "__class__", ContextVarsRuntimeContext)  # noqa: B010  # as above
