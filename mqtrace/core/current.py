"""What is current in a thread, task or generator: one variable, touched by this module alone.

A *frame* is what may be current: a recording span, a no-op span, a :class:`~mqtrace.core.Context`, or another tracer's
span seen through one (the bridge to OpenTelemetry). Whose child the next span is, and whether that parent is of another
process, stands on the frame; nobody asks for its class.
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
    "let_go",
    "open_frames",
    "restore",
    "still_open",
]

_current: ContextVar[Frame | None] = ContextVar("mqtrace_current", default=None)

# The variable's own methods, because each of these runs once a message, and a function around one costs as much again.

#: ``innermost_frame()``: what the variable holds, or None. For the hot path: a frame that has ``ended`` may not be
#: current any more, which :func:`still_open` says.
innermost_frame = _current.get
#: ``attach(frame)``: make a frame (or None) current. Returns the token for :func:`detach`.
attach = _current.set
#: ``detach(token)``: make current what was before. ValueError where the token is of another context.
detach = _current.reset


class NestedToken:
    """What a block undoes that was entered within another block of the same span, and what that one undoes."""

    __slots__ = ("outer", "token")

    def __init__(self, token: Token[Frame | None], outer: Token[Frame | None] | NestedToken) -> None:
        self.token = token
        self.outer = outer


class LeftElsewhere:
    """What a span holds that was left in another context than it was entered in, where it still stands in the variable.

    An asynchronous generator that another task closes leaves its blocks there. ``outer``: what was current before.
    """

    __slots__ = ("outer",)

    def __init__(self, outer: Frame | None) -> None:
        self.outer = outer


class Entered(Protocol):
    """A frame that can be entered with ``with``: it holds what undoes that."""

    token: Token[Frame | None] | NestedToken | LeftElsewhere | None

    @property
    def baggage(self) -> Mapping[str, str] | None: ...
    def left_elsewhere(self, outer: Frame | None) -> None:
        """Be no more than ``outer`` to whoever finds this frame in the variable: its block is over."""
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
    """The frames whose blocks this thread or task is in, the innermost first, as far as they say what was before."""
    frame: Any = current_frame()
    outer: dict[int, Any] = {}
    while frame is not None:
        yield frame
        token = outer.pop(id(frame), None) or getattr(frame, "token", None)
        if isinstance(token, NestedToken):
            outer[id(frame)] = token.outer  # for when it is met again, around what is between
            token = token.token
        frame = token.outer if isinstance(token, LeftElsewhere) else _before(token)


def _before(token: Token[Frame | None] | None) -> Frame | None:
    """What was current before what this token is of."""
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
        let_go(frame)


def let_go(frame: Any) -> None:
    """Have a span that has ended forget what it passed on while it was current: it may wait long for its export."""
    if frame.ended and frame.token is None:
        frame.baggage = None
