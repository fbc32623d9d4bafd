"""The variables of the environment.

An invalid one is one warning, and the default holds (OpenTelemetry, "Environment Variable Specification").
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

__all__ = ["Environment"]

log = logging.getLogger("mqtrace")

T = TypeVar("T")


class Environment:
    """Reads the environment, with one warning for an invalid value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str) -> str | None:
        """The value; None if it is unset or empty, which OpenTelemetry treats alike."""
        return self.environ.get(name, "").strip() or None

    def word(self, name: str) -> str | None:
        """The value of an enumeration, in lower case: OpenTelemetry has them read in any."""
        value = self.text(name)
        return None if value is None else value.lower()

    def flag(self, name: str) -> bool:
        return self.choice(name, False) is True

    def choice(self, name: str, default: bool | None) -> bool | None:
        """True or false; ``default`` if it is unset, or neither."""
        value = self.text(name)
        if value is None or value.lower() in ("true", "false"):
            return default if value is None else value.lower() == "true"
        used = "it is ignored" if default is None else f"{str(default).lower()} is used"
        self.warn(f"{name}={value!r} is neither true nor false: {used}")
        return default

    def switch(self, name: str) -> bool:
        """Whether it is not turned off."""
        value = (self.text(name) or "on").lower()
        if value not in ("on", "off"):
            self.warn(f"{name}={value[:40]!r} is neither on nor off: on is used")
        return value != "off"

    def number(self, name: str, default: T, least: int = 0) -> int | T:
        value = self.text(name)
        if value is None:
            return default
        # no one means a number of more than eighteen digits, and int() refuses thousands of them
        if value.isascii() and value.isdigit() and len(value) <= 18 and int(value) >= least:
            return int(value)
        self.warn(f"{name}={value[:40]!r} is not a whole number of at least {least}: {default} is used")
        return default

    @staticmethod
    def warn(sentence: str) -> None:
        log.warning("%s", sentence)
