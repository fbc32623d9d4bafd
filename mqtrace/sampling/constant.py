"""The samplers of every trace, and of none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ALL", "NONE", "Always", "Never"]

#: Every trace id is at or above this one ...
ALL: Final = b"0" * 14
#: ... and below this one, which is not a hex digit.
NONE: Final = b"g"


class Always:
    """Record every trace."""

    threshold: Final = ALL
    state: Final = None

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """True."""
        return True

    def __repr__(self) -> str:
        return "Always()"


class Never:
    """Record no trace."""

    threshold: Final = NONE
    state: Final = None

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """False."""
        return False

    def __repr__(self) -> str:
        return "Never()"
