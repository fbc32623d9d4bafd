"""What a library is given in the place of a user's callback.

A library keeps callbacks and compares them: one that is there already is not added again, and whoever wants theirs
removed says which. So what stands for a callback is equal to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["InPlaceOf"]


class InPlaceOf:
    """Something that is called instead of a user's function, and is equal to it."""

    __slots__ = ("function",)

    #: The user's.
    function: Callable[..., Any]

    def __eq__(self, other: object) -> bool:
        return bool(self.function == (other.function if isinstance(other, InPlaceOf) else other))

    def __hash__(self) -> int:
        return hash(self.function)
