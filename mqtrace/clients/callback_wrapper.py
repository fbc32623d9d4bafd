"""What a library is given instead of a user's callback.

A library compares the callbacks that it keeps: it does not add one twice, and removes one when it is given it again. So
the wrapper of a callback equals the callback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["CallbackWrapper"]


class CallbackWrapper:
    """Is called instead of a user's callback, and equals it."""

    __slots__ = ("function",)

    #: The user's callback.
    function: Callable[..., Any]

    def __eq__(self, other: object) -> bool:
        return bool(self.function == (other.function if isinstance(other, CallbackWrapper) else other))

    def __hash__(self) -> int:
        return hash(self.function)
