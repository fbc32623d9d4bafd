"""The headers of a message, read so that a name that is not UTF-8 does no harm.

For such headers the client raises SystemError once. From then on it returns a list that holds a null pointer, and a
program that reads it crashes (confluent_kafka 2.16, ``Message.headers``). No program may crash because mqtrace read the
headers first. A comparison finds the null pointer: it raises where any other access crashes. The list is then replaced
by :class:`UnreadableHeaders`, which raises the client's error when the application reads the headers.
"""

from __future__ import annotations

from typing import Any, Final

from mqtrace.messaging import Operation

__all__ = ["NO_NAME", "UNREADABLE", "UnreadableHeaders", "readable", "replace_unreadable"]

#: What is raised for such headers. A call that the interpreter has specialized (3.12 and later) is not checked for an
#: error if it returned something: the next operation that fails then raises the original error.
UNREADABLE: Final = (SystemError, UnicodeDecodeError)

#: ``NO_NAME in headers`` is False, or raises one of UNREADABLE if the name of a header is a null pointer.
NO_NAME: Final = ("",)

_MESSAGE: Final = "<method 'headers' of 'cimpl.Message' objects> returned a result with an exception set"


class UnreadableHeaders:
    """What ``message.headers()`` returns after mqtrace has read it, if it would have raised: every use raises that."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def _refuse(self, *_: Any) -> Any:
        # a new error each time: one that is raised again keeps growing its traceback
        error = SystemError(_MESSAGE)
        error.__cause__ = self._error if isinstance(self._error, UnicodeDecodeError) else self._error.__cause__
        raise error

    __iter__ = __len__ = __getitem__ = __contains__ = __add__ = __radd__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # a list has none

    def __eq__(self, other: object) -> bool:
        return self is other or bool(self._refuse())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # names of Python's protocols: copy, pickle, inspect
            raise AttributeError(name)
        return self._refuse()

    def __repr__(self) -> str:
        return "<headers that cannot be read: the name of one is not UTF-8>"


def replace_unreadable(message: Any, error: BaseException) -> None:
    """Replace the headers of a message that cannot be read. ``error``: what was raised when they were read."""
    replace = getattr(message, "set_headers", None)
    if replace is not None:
        replace(UnreadableHeaders(error))


def readable(operation: Operation, message: Any) -> Any:
    """The headers of a message: a list, or None if there are none. Unreadable headers are counted, and None too."""
    try:
        headers = message.headers()
        if headers and NO_NAME not in headers:
            return headers
    except UNREADABLE as error:
        replace_unreadable(message, error)
        operation.tracer.malformed()
    return None
