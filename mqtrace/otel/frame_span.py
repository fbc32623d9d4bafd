"""A frame of ours as OpenTelemetry's Span: what ``opentelemetry.trace.get_current_span()`` returns below mqtrace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import Span as TheirSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState

from mqtrace.core import Context, Frame, Span
from mqtrace.core import Status as OurStatus

__all__ = ["FrameSpan", "context_of"]

_STATUS: Final[dict[Any, OurStatus]] = {StatusCode.UNSET: "unset", StatusCode.OK: "ok", StatusCode.ERROR: "error"}


class FrameSpan(TheirSpan):
    """An application's calls reach our span, but its name and its end, which mqtrace sets.

    No method raises, as on OpenTelemetry's own spans: our span ignores and counts what it cannot use.
    """

    __slots__ = ("_context", "frame")

    def __init__(self, frame: Frame) -> None:
        #: A span, a no-op span or a context of ours.
        self.frame: Any = frame
        self._context: SpanContext | None = None

    def get_span_context(self) -> SpanContext:
        """The ids of our span, made when they are first asked for."""
        if self._context is None:
            identity = self.frame.identity.decode("ascii")
            self._context = SpanContext(
                int(identity[3:35], 16),
                int(identity[36:52], 16),
                self.frame.remote,
                TraceFlags(int(identity[53:55], 16)),
                TraceState.from_header([self.frame.state]) if self.frame.state else None,
            )
        return self._context

    def is_recording(self) -> bool:
        """Whether our span takes attributes and events."""
        return isinstance(self.frame, Span) and self.frame.is_recording()

    def _ours(self) -> Span | None:
        return self.frame if isinstance(self.frame, Span) else None

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes on our span."""
        if (span := self._ours()) is not None:
            span.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute on our span."""
        if (span := self._ours()) is not None:
            span.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add an event to our span. ``timestamp``: ns since the epoch."""
        if (span := self._ours()) is not None:
            span.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """Link our span to another span. A context of no trace, or None, is passed over, as by the SDK."""
        if (span := self._ours()) is not None and getattr(context, "is_valid", False):
            span.add_link(context_of(context), attributes)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """Add the event ``exception`` to our span."""
        if (span := self._ours()) is not None:
            span.record_exception(exception, attributes, timestamp)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status of our span."""
        if (span := self._ours()) is not None:
            code: Any = status
            if isinstance(status, Status):
                code, description = status.status_code, status.description
            span.set_status(_STATUS.get(code, "unset"), description)

    def update_name(self, name: str) -> None:
        """Do nothing: the name is the operation's, and was set when the span started."""

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: the span ends with mqtrace's block or handler."""

    def __repr__(self) -> str:
        return f"<FrameSpan of {self.frame!r}>"


def context_of(context: SpanContext) -> Context:
    """OpenTelemetry's SpanContext as a context of ours."""
    if not context.is_valid:
        return Context()
    identity = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 3:02x}".encode("ascii")
    state = context.trace_state.to_header() if context.trace_state else None
    return Context(identity, state or None, remote=bool(context.is_remote))
