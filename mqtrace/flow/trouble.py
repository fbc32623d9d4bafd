"""The errors that end a question, each one sentence for the person who asked."""

from __future__ import annotations

__all__ = ["AskError", "SourceError"]


class SourceError(Exception):
    """The source cannot be read: what is wrong, and what to do instead. Holds no user and no password."""


class AskError(ValueError):
    """The question is malformed: which parameter, and what it takes."""
