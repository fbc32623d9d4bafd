"""The one error that mqtrace raises into a user's program, and only while it is being configured."""

from __future__ import annotations

__all__ = ["ConfigurationError"]


class ConfigurationError(ValueError):
    """A setting that cannot work. Its text is one sentence: what was wrong, and what to write instead."""
