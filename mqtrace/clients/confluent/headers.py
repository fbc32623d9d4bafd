"""The headers of a message, read so that a name that is not UTF-8 does no harm.

Of such headers the client raises SystemError once, and from then on returns a list that holds a null pointer: whoever
reads that crashes (confluent_kafka 2.16, ``Message.headers``). Nobody does because of us. A null pointer is found by a
comparison, which refuses it where every other way to it crashes; and the list is replaced by
:class:`UnreadableHeaders`, so that the application meets the client's own error where it would have met it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mqtrace.messaging import Operation

__all__ = ["NO_NAME", "UNREADABLE", "UnreadableHeaders", "readable", "replace_unreadable"]

#: What comes of such headers. Where a call has been specialized, the interpreter does not look for the error of a call
#: that returned something (3.12 and later): it comes up with the next operation that fails, as what it was.
UNREADABLE: Final = (SystemError, UnicodeDecodeError)

#: ``NO_NAME in headers`` is False, or one of those where the name of a header is a null pointer.
NO_NAME: Final = ("",)

_MESSAGE: Final = "<method 'headers' of 'cimpl.Message' objects> returned a result with an exception set"


class UnreadableHeaders:
    """What ``message.headers()`` returns after us, where it would have raised: its every use raises that error."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def _refuse(self) -> SystemError:
        # a new one each time: an exception that is raised again keeps growing its traceback
        error = SystemError(_MESSAGE)
        error.__cause__ = self._error if isinstance(self._error, UnicodeDecodeError) else self._error.__cause__
        return error

    def __iter__(self) -> Iterator[Any]:
        raise self._refuse()

    def __len__(self) -> int:
        raise self._refuse()

    def __getitem__(self, index: Any) -> Any:
        raise self._refuse()

    def __contains__(self, header: object) -> bool:
        raise self._refuse()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        raise self._refuse()

    def __add__(self, other: Any) -> Any:
        raise self._refuse()

    __radd__ = __add__
    __hash__ = None  # type: ignore[assignment]  # a list has none

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of Python's own protocols: copy, pickle, inspect
            raise AttributeError(name)
        raise self._refuse()

    def __repr__(self) -> str:
        return "<headers that cannot be read: the name of one is not UTF-8>"


def replace_unreadable(message: Any, error: BaseException) -> None:
    """Replace the headers of a message that cannot be read: ``error`` is what came of it."""
    replace = getattr(message, "set_headers", None)
    if replace is not None:
        replace(UnreadableHeaders(error))


def readable(operation: Operation, message: Any) -> Any:
    """The headers of a message: a list, or None where there are none, or none that can be read, which is counted."""
    try:
        headers = message.headers()
        if headers and NO_NAME not in headers:
            return headers
    except UNREADABLE as error:
        replace_unreadable(message, error)
        operation.tracer.malformed()
    return None
