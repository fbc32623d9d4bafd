"""Export: how finished spans leave the process."""

from __future__ import annotations

from .url import from_url

__all__ = ["from_url"]
