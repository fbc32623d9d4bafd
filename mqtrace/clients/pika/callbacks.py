"""What pika is given in the place of a user's callback.

pika keeps callbacks and compares them: one that is there already is not added again, and whoever wants his removed
says which. So what stands for a callback is equal to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Handing", "InPlaceOf"]


class InPlaceOf:
    """Something that is called instead of a user's function, and is equal to it."""

    __slots__ = ("function",)

    #: The user's.
    function: Callable[..., Any]

    def __eq__(self, other: object) -> bool:
        return bool(self.function == (other.function if isinstance(other, InPlaceOf) else other))

    def __hash__(self) -> int:
        return hash(self.function)


class Handing(InPlaceOf):
    """Gives a callback the traced channel where pika gives its own."""

    __slots__ = ("channel",)

    def __init__(self, function: Callable[..., Any], channel: Any) -> None:
        self.function = function
        self.channel = channel

    def __call__(self, _channel: Any, *rest: Any) -> Any:
        return self.function(self.channel, *rest)
