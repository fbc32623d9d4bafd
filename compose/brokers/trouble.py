"""The one error of these programs, and how they speak while they work."""

from __future__ import annotations

import sys

__all__ = ["Trouble", "say"]


class Trouble(Exception):
    """A broker cannot be had here. Its text is shown as it is: what is missing, and what to do about it."""


def say(text: str) -> None:
    """A line of progress, on stderr: stdout is for the shell that evaluates it."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
