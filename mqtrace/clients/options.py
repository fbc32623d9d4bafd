"""The options of ``wrap``: one that the client does not have is refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mqtrace.errors import ConfigurationError

__all__ = ["expect"]


def expect(options: Mapping[str, Any], known: Iterable[str], advice: str) -> None:
    """Raise ConfigurationError if there are options that are not ``known``. ``advice``: what to write instead."""
    unknown = options.keys() - set(known)
    if unknown:
        raise ConfigurationError(f"wrap() does not know {sorted(unknown)}: {advice}")
