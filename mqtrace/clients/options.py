"""The options of ``wrap``: what a client does not know is one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mqtrace.errors import ConfigurationError

__all__ = ["expect"]


def expect(options: Mapping[str, Any], known: Iterable[str], advice: str) -> None:
    """Raise ConfigurationError where there are others than those that are ``known``. ``advice``: what to write."""
    unknown = options.keys() - set(known)
    if unknown:
        raise ConfigurationError(f"wrap() does not know {sorted(unknown)}: {advice}")
