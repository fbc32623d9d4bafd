"""What ends a command early."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(Exception):
    """One sentence for the person who typed the command: what was wrong, and what to do instead."""
