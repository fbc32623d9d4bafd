"""What is current in a thread, task or generator: one variable, touched by this module alone.

A *frame* is what may be current: a recording span, a no-op span, a :class:`~mqtrace.core.Context`, or another tracer's
span seen through one (the bridge to OpenTelemetry). Whose child the next span is, and whether that parent is of another
process, stands on the frame; nobody asks for its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import Any, Protocol

from .context import Frame

__all__ = ["Entered", "NestedToken", "attach", "current_frame", "detach", "enter", "open_frames", "restore"]

_current: ContextVar[Frame | None] = ContextVar("mqtrace_current", default=None)

# The variable's own methods, because each of these runs once a message, and a function around one costs as much again.

#: ``current_frame()``: the frame that is current, or None.
current_frame = _current.get
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


class Entered(Protocol):
    """A frame that can be entered with ``with``: it holds what undoes that."""

    token: Token[Frame | None] | NestedToken | None


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
        frame = None if token is None or token.old_value is Token.MISSING else token.old_value


def enter(frame: Any) -> None:
    """Make this frame current until :func:`restore`."""
    outer = frame.token
    token = attach(frame)
    frame.token = token if outer is None else NestedToken(token, outer)


def restore(frame: Entered) -> None:
    """Make current again what was when this frame became it."""
    token = frame.token
    if token is None:
        return
    if isinstance(token, NestedToken):
        frame.token = token.outer
        token = token.token
    else:
        frame.token = None
    try:
        detach(token)
    except ValueError:
        # Entered in one context and left in another (a generator that was closed by the garbage collector, a block
        # that an asyncio task took over): this context never held the frame, and there is nothing to undo.
        pass
