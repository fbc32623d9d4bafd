"""The attributes of an exception. Nothing here raises, whatever the exception's own methods do."""

from __future__ import annotations

import traceback

__all__ = ["stacktrace_of", "text_of", "type_name"]

_NAMED_WITHOUT_MODULE = frozenset(("builtins", "asyncio.exceptions"))


def type_name(error: BaseException) -> str:
    """The name for ``exception.type`` and ``error.type``: with its module, but for built-in ones and asyncio's."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ in _NAMED_WITHOUT_MODULE else f"{kind.__module__}.{kind.__qualname__}"


def text_of(error: BaseException) -> str:
    """``str(error)``; empty if that raises."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a user's __str__ may raise anything, and the user's exception must go on
        return ""


def stacktrace_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001  # as above: formatting calls the user's __str__
        return ""
