"""The properties that a message goes out with: the user's with a context in their headers, or ones of nothing else.

The properties that the user gave may be used for the next message too, so they are copied, never changed.
"""

from __future__ import annotations

import copy
import struct
from typing import Any, Final

from pika.spec import BasicProperties  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.core import DescribedSend, NoopSpan, SendSpan
from mqtrace.messaging import Operation
from mqtrace.messaging.amqp import with_context
from mqtrace.messaging.attributes import CONVERSATION, MESSAGE_ID

__all__ = ["UNREAD", "ContextProperties", "class_of_send", "with_properties"]

_new: Final = BasicProperties.__new__
_encode: Final[Any] = BasicProperties.encode


def _entry(name: bytes, before: bytes, length: int) -> bytes:
    """The beginning of an entry of a header table, to the value of ``length`` bytes, which begins with ``before``."""
    return struct.pack(">B", len(name)) + name + b"S" + struct.pack(">I", length) + before


# AMQP 0-9-1, 4.2.5.5 and 4.2.6.1: the flags of the properties, the size of the table, its entries.
_TRACEPARENT: Final = _entry(b"traceparent", b"", 55)
_TRACESTATE: Final = _entry(b"tracestate", b"mqtrace=t:", 23)
_HEAD: Final = (
    struct.pack(">HI", BasicProperties.FLAG_HEADERS, len(_TRACEPARENT + _TRACESTATE) + 55 + 13) + _TRACEPARENT
)
_ALONE: Final = struct.pack(">HI", BasicProperties.FLAG_HEADERS, len(_TRACEPARENT) + 55) + _TRACEPARENT
_TIMES: Final = range(10**12, 10**13)

#: The table of :class:`ContextProperties` that nobody has looked at.
UNREAD: Final[Any] = object()


class ContextProperties(BasicProperties):  # type: ignore[misc]  # as above
    """Properties of which only the headers are set, and those to a traceparent and a send time, or to that alone.

    Most messages are sent without properties. What pika takes to encode a table of two is two thirds of what such a
    message costs, and all but 68 bytes of it are the same for every message; so they encode themselves.
    """

    __slots__ = ("sent", "table", "traceparent")

    traceparent: bytes
    #: ms since the epoch; None where the headers do not say it: the trace is not recorded.
    sent: int | None
    #: The headers, once somebody has looked at them, or where there is more to them; :data:`UNREAD` before.
    table: Any

    def encode(self) -> list[bytes]:
        """As pika's: the flags and what is set, in pieces."""
        if self.table is UNREAD:
            if self.sent is None:
                return [_ALONE + self.traceparent]
            if self.sent in _TIMES:
                return [b"%b%b%b%d" % (_HEAD, self.traceparent, _TRACESTATE, self.sent)]
        pieces: list[bytes] = _encode(self)
        return pieces

    def _plain(self) -> Any:
        made = BasicProperties()
        made.__dict__.update(self.__dict__, headers=self.headers)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy, and what is pickled, is pika's own: there is nothing of ours in it."""
        return self._plain().__reduce_ex__(1)  # later protocols insist on the class of what is pickled

    def __eq__(self, other: object) -> bool:
        return bool(self._plain() == (other._plain() if type(other) is ContextProperties else other))

    __hash__ = None  # type: ignore[assignment]  # pika's have none

    def __repr__(self) -> str:
        return repr(self._plain())

    @property
    def headers(self) -> Any:
        """The table."""
        if self.table is UNREAD:
            self.table = {"traceparent": self.traceparent.decode()}
            if self.sent is not None:
                self.table["tracestate"] = f"mqtrace=t:{self.sent}"
        return self.table

    @headers.setter
    # pika's is an attribute, this one is made when it is read
    def headers(self, headers: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.table = headers


ContextProperties.__name__ = ContextProperties.__qualname__ = BasicProperties.__name__
# What else there is stands in the class, so that one is made at once.
for _name, _value in vars(BasicProperties()).items():
    if _name != "headers":
        setattr(ContextProperties, _name, _value)


def with_properties(operation: Operation, span: SendSpan | NoopSpan | bytes, properties: Any) -> Any:
    """Properties with the context of a send span in their headers: new ones, or those given where nothing is added."""
    if type(properties) is BasicProperties:
        # flat, because nearly every message is like this, and copy.copy takes three times as long
        table = properties.__dict__.copy()
        if type(span) is DescribedSend:
            _describe(span, properties)
        headers = with_context(operation, span, table["headers"])
        if headers is table["headers"]:
            return properties
    elif not properties:  # which pika takes for none
        headers = with_context(operation, span, None)
        if headers is None:
            return properties
        made = _new(ContextProperties)
        made.table = headers
        return made
    elif isinstance(properties, BasicProperties):
        return _of_a_subclass(operation, span, properties)
    else:
        return properties  # the channel will say what is wrong with them
    table["headers"] = headers
    made = _new(BasicProperties)
    made.__dict__ = table
    return made


def _of_a_subclass(operation: Operation, span: SendSpan | NoopSpan | bytes, properties: Any) -> Any:
    if type(span) is DescribedSend:
        _describe(span, properties)
    headers = with_context(operation, span, properties.headers)
    if headers is properties.headers:
        return properties
    made = copy.copy(properties)
    if made is properties:
        raise TypeError(f"a copy of {type(properties).__name__} is the object itself, which is the caller's")
    made.headers = headers
    return made


def class_of_send(properties: Any) -> type[SendSpan]:
    """The class of the send span of a message with these properties, whatever they are: whether it has ids to say."""
    try:
        return SendSpan if properties.message_id is None and properties.correlation_id is None else DescribedSend
    except Exception:  # noqa: BLE001  # no properties, or ones that cannot be read: the channel says so, or takes them
        return SendSpan


def _describe(span: DescribedSend, properties: Any) -> None:
    named = {MESSAGE_ID: properties.message_id, CONVERSATION: properties.correlation_id}
    span.describe({key: value for key, value in named.items() if isinstance(value, str) and value})
