"""Spans that are not recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Final

from .context import EMPTY, Decision, Frame
from .current import LeftElsewhere, NestedToken, current_frame, enter, innermost_frame, leave, restore
from .details import NO_ATTRIBUTES, Event, Link, Status
from .span import Span
from .template import Kind

__all__ = ["NOOP", "NoopSpan", "current_span"]


class NoopSpan:
    """A span that is not recorded. Every method does nothing.

    It holds the context of a trace that is not sampled, which must travel on. If there is no context either, one object
    serves all (:data:`NOOP`).
    """

    __slots__ = ("baggage", "identity", "state", "token")

    identity: bytes | None
    state: str | None
    baggage: Mapping[str, str] | None
    token: Token[Frame | None] | NestedToken | LeftElsewhere | None

    name: Final = ""
    kind: Final[Kind] = "internal"
    start_time: Final = 0
    end_time: Final = None
    parent_id: Final = None
    attributes: Final = NO_ATTRIBUTES
    events: Final[Sequence[Event]] = ()
    links: Final[Sequence[Link]] = ()
    status: Final[Status] = "unset"
    status_description: Final = None
    service: Final = ""
    resource: Final = NO_ATTRIBUTES
    ended: int = 0
    #: As a frame: a span of this process, not sampled by its flag.
    decision: Decision = "flag"
    remote: bool = False

    def __init__(
        self, identity: bytes | None, state: str | None = None, baggage: Mapping[str, str] | None = None
    ) -> None:
        self.identity = identity
        self.state = state
        self.baggage = baggage
        self.token = None

    @property
    def trace_id(self) -> str:
        """The trace that is passed on; zeros without one."""
        return "0" * 32 if self.identity is None else self.identity[3:35].decode("ascii")

    @property
    def span_id(self) -> str:
        """The span whose context is passed on; zeros without one."""
        return "0" * 16 if self.identity is None else self.identity[36:52].decode("ascii")

    @property
    def is_valid(self) -> bool:
        """Whether there is a trace."""
        return self.identity is not None

    @property
    def trace_state(self) -> str:
        """The text of ``tracestate``; empty without one."""
        return self.state or ""

    def is_recording(self) -> bool:
        """False."""
        return False

    def set_attribute(self, key: str, value: object) -> None:
        """Does nothing."""

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Does nothing."""

    def add_event(
        self, name: str, attributes: Mapping[str, object] | None = None, timestamp: int | None = None
    ) -> None:
        """Does nothing."""

    def add_link(self, context: Frame, attributes: Mapping[str, object] | None = None) -> None:
        """Does nothing."""

    def record_exception(
        self, error: BaseException, attributes: Mapping[str, object] | None = None, timestamp: int | None = None
    ) -> None:
        """Does nothing."""

    def set_status(self, status: Status, description: str | None = None) -> None:
        """Does nothing."""

    def fail(self, error: BaseException) -> None:
        """Does nothing."""

    def end(self, end_time: int | None = None) -> None:
        """Does nothing."""

    def __enter__(self) -> NoopSpan:
        if self is not NOOP:
            enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if innermost_frame() is self:
            restore(self)
        elif self is not NOOP:
            leave(self)

    async def __aenter__(self) -> NoopSpan:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def left_elsewhere(self, outer: Frame | None) -> None:
        """See :class:`mqtrace.core.current.Entered`. It is not exported, so it may turn into the outer one."""
        new = EMPTY if outer is None else outer
        self.identity, self.state, self.baggage = new.identity, new.state, new.baggage

    def __repr__(self) -> str:
        return f"<NoopSpan {self.identity.decode('ascii') if self.identity else 'of no trace'}>"


#: Without a trace.
NOOP: Final = NoopSpan(None)


def current_span() -> Span | NoopSpan:
    """The span that is current; a no-op span if there is none."""
    frame = current_frame()
    if frame is None:
        return NOOP
    if isinstance(frame, (Span, NoopSpan)):
        return frame
    span = getattr(frame, "span", None)  # another tracer's frame may hold a span of ours
    if isinstance(span, (Span, NoopSpan)):
        return span
    return NoopSpan(frame.identity, frame.state, frame.baggage)
