"""What is current in a thread, task or generator: one variable, touched by this module alone.

A *frame* is what may be current: a recording span, a no-op span, a :class:`~mqtrace.core.Context`, or another tracer's
span seen through one (the bridge to OpenTelemetry). The frame's attributes say which span is the next one's parent, and
whether it is another process's. Its class says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar, Token
from typing import Any, Protocol

from .context import Frame

__all__ = [
    "Entered",
    "LeftElsewhere",
    "NestedToken",
    "attach",
    "current_frame",
    "detach",
    "enter",
    "innermost_frame",
    "leave",
    "open_frames",
    "release_baggage",
    "restore",
    "still_open",
]

_current: ContextVar[Frame | None] = ContextVar("mqtrace_current", default=None)

# The variable's methods themselves: each runs once a message, and a function around one costs as much again.

#: ``innermost_frame()``: what the variable holds, or None. For the hot path: a frame that has ``ended`` may not be
#: current any more; :func:`still_open` decides that.
innermost_frame = _current.get
#: ``attach(frame)``: make a frame (or None) current. Returns the token for :func:`detach`.
attach = _current.set
#: ``detach(token)``: make current what was before. ValueError if the token is of another context.
detach = _current.reset


class NestedToken:
    """The token of a block inside another block of the same span, and that one's token."""

    __slots__ = ("outer", "token")

    def __init__(self, token: Token[Frame | None], outer: Token[Frame | None] | NestedToken) -> None:
        self.token = token
        self.outer = outer


class LeftElsewhere:
    """The token of a span whose block was left in another context: the variable of the first one still holds the span.

    An asynchronous generator that another task closes leaves its blocks so. ``outer``: what was current before.
    """

    __slots__ = ("outer",)

    def __init__(self, outer: Frame | None) -> None:
        self.outer = outer


class Entered(Protocol):
    """A frame that can be entered with ``with``: it holds the token that undoes that."""

    token: Token[Frame | None] | NestedToken | LeftElsewhere | None

    @property
    def baggage(self) -> Mapping[str, str] | None: ...
    def left_elsewhere(self, outer: Frame | None) -> None:
        """Take the place of ``outer`` for a reader who finds this frame in the variable: its block is over."""
        ...


def current_frame() -> Frame | None:
    """The frame that is current, or None."""
    frame = innermost_frame()
    return frame if frame is None or not frame.ended else still_open(frame)


def still_open(frame: Frame | None) -> Frame | None:
    """This frame, or the first one around it whose block was not left in another context."""
    while frame is not None and isinstance(token := getattr(frame, "token", None), LeftElsewhere):
        frame = token.outer
    return frame


def open_frames() -> Iterator[Frame]:
    """The frames whose blocks this thread or task is in, the innermost first, as far as their tokens tell."""
    frame: Any = current_frame()
    outer: dict[int, Any] = {}
    while frame is not None:
        yield frame
        token = outer.pop(id(frame), None) or getattr(frame, "token", None)
        if isinstance(token, NestedToken):
            outer[id(frame)] = token.outer  # for its outer block, which comes later
            token = token.token
        frame = token.outer if isinstance(token, LeftElsewhere) else _before(token)


def _before(token: Token[Frame | None] | None) -> Frame | None:
    """The frame that was current before the one of this token."""
    return None if token is None or token.old_value is Token.MISSING else token.old_value


def enter(frame: Any) -> None:
    """Make this frame current until :func:`restore`."""
    outer = frame.token
    token = attach(frame)
    frame.token = token if outer is None else NestedToken(token, outer)


def restore(frame: Entered) -> None:
    """Make current again what was when this frame became it."""
    token = frame.token
    if token is None or isinstance(token, LeftElsewhere):
        return
    if isinstance(token, NestedToken):
        frame.token = token.outer
        token = token.token
    else:
        frame.token = None
    try:
        detach(token)
    except ValueError:
        # Entered in one context and left in another (a generator that another task or the garbage collector closed):
        # this context never held the frame, and the other one, which nobody can reach, still does.
        if frame.token is None:
            frame.left_elsewhere(_before(token))
    if frame.baggage is not None:
        release_baggage(frame)


def leave(frame: Entered) -> None:
    """Do as :func:`restore` where another frame is current, whose block goes on (that of a generator, for example).

    The end of that block will make this frame current again, so whoever finds it is told what was current before.
    """
    token = frame.token
    restore(frame)
    if frame.token is None and isinstance(token, Token):
        frame.left_elsewhere(_before(token))


def release_baggage(frame: Any) -> None:
    """Drop the baggage of a span that has ended and is not current any more: it may wait long for its export."""
    if frame.ended and frame.token is None:
        frame.baggage = None
