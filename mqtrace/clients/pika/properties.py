"""The properties that a message is sent with: the user's with a context in their headers, or only a context.

A user may pass the same properties again for the next message, so they are copied, never changed.
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


def _entry(name: bytes, length: int, prefix: bytes = b"") -> bytes:
    """The beginning of an entry of a header table whose value has ``length`` bytes and begins with ``prefix``."""
    return struct.pack(">B", len(name)) + name + b"S" + struct.pack(">I", length) + prefix


# AMQP 0-9-1, 4.2.5.5 and 4.2.6.1: the flags of the properties, the size of the table, its entries.
_TRACEPARENT: Final = _entry(b"traceparent", 55)
_TRACESTATE: Final = _entry(b"tracestate", 23, b"mqtrace=t:")
_HEAD: Final = (
    struct.pack(">HI", BasicProperties.FLAG_HEADERS, len(_TRACEPARENT + _TRACESTATE) + 55 + 13) + _TRACEPARENT
)
_HEAD_WITHOUT_TIME: Final = struct.pack(">HI", BasicProperties.FLAG_HEADERS, len(_TRACEPARENT) + 55) + _TRACEPARENT
# The ms since the epoch that have 13 digits: until the year 2286.
_13_DIGITS: Final = range(10**12, 10**13)

#: The table of :class:`ContextProperties` whose headers were neither read nor set.
UNREAD: Final[Any] = object()


class ContextProperties(BasicProperties):  # type: ignore[misc]  # as above
    """Properties of a message that has only headers: a traceparent, and a send time if the trace is recorded.

    Most messages are sent without properties. To encode a table of two entries takes pika two thirds of what such a
    message costs, and all but 68 bytes of it are the same for every message. So these properties encode themselves.
    """

    __slots__ = ("sent_ms", "table", "traceparent")

    traceparent: bytes
    #: The send time, ms since the epoch; None if the trace is not recorded.
    sent_ms: int | None
    #: The headers, once they were read or set; :data:`UNREAD` before.
    table: Any

    def encode(self) -> list[bytes]:
        """As pika's: the flags and the fields that are set, in pieces."""
        if self.table is UNREAD:
            if self.sent_ms is None:
                return [_HEAD_WITHOUT_TIME + self.traceparent]
            if self.sent_ms in _13_DIGITS:
                return [b"%b%b%b%d" % (_HEAD, self.traceparent, _TRACESTATE, self.sent_ms)]
        pieces: list[bytes] = _encode(self)
        return pieces

    def _as_pikas(self) -> Any:
        properties = BasicProperties()
        properties.__dict__.update(self.__dict__, headers=self.headers)
        return properties

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy, and what is pickled, is of pika's class."""
        return self._as_pikas().__reduce_ex__(1)  # later protocols insist on the class of what is pickled

    def __eq__(self, other: object) -> bool:
        return bool(self._as_pikas() == (other._as_pikas() if type(other) is ContextProperties else other))

    __hash__ = None  # type: ignore[assignment]  # pika's have none

    def __repr__(self) -> str:
        return repr(self._as_pikas())

    @property
    def headers(self) -> Any:
        """The table."""
        if self.table is UNREAD:
            self.table = {"traceparent": self.traceparent.decode()}
            if self.sent_ms is not None:
                self.table["tracestate"] = f"mqtrace=t:{self.sent_ms}"
        return self.table

    @headers.setter
    # pika's is an attribute, this table is made when it is read
    def headers(self, headers: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.table = headers


ContextProperties.__name__ = ContextProperties.__qualname__ = BasicProperties.__name__
# The other fields have their defaults in the class, so no constructor has to run.
for _name, _value in vars(BasicProperties()).items():
    if _name != "headers":
        setattr(ContextProperties, _name, _value)


def with_properties(operation: Operation, span: SendSpan | NoopSpan | bytes, properties: Any) -> Any:
    """Properties with the context of a send span in their headers: a copy, or the same object if nothing is added."""
    if type(properties) is BasicProperties:
        # flat, because nearly every message is like this, and copy.copy takes three times as long
        fields = properties.__dict__.copy()
        if type(span) is DescribedSend:
            _describe(span, properties)
        headers = with_context(operation, span, fields["headers"])
        if headers is fields["headers"]:
            return properties
    elif not properties:  # pika sends these like None
        headers = with_context(operation, span, None)
        if headers is None:
            return properties
        context = _new(ContextProperties)
        context.table = headers
        return context
    elif isinstance(properties, BasicProperties):
        return _of_subclass(operation, span, properties)
    else:
        return properties  # the channel raises the error
    fields["headers"] = headers
    copied = _new(BasicProperties)
    copied.__dict__ = fields
    return copied


def _of_subclass(operation: Operation, span: SendSpan | NoopSpan | bytes, properties: Any) -> Any:
    if type(span) is DescribedSend:
        _describe(span, properties)
    headers = with_context(operation, span, properties.headers)
    if headers is properties.headers:
        return properties
    copied = copy.copy(properties)
    if copied is properties:
        raise TypeError(f"a copy of {type(properties).__name__} is the object itself, which is the caller's")
    copied.headers = headers
    return copied


def class_of_send(properties: Any) -> type[SendSpan]:
    """The class of the send span of a message with these properties: DescribedSend if they have an id."""
    try:
        return SendSpan if properties.message_id is None and properties.correlation_id is None else DescribedSend
    except Exception:  # noqa: BLE001  # not properties, or unreadable ones: the channel raises, or accepts them
        return SendSpan


def _describe(span: DescribedSend, properties: Any) -> None:
    ids = {MESSAGE_ID: properties.message_id, CONVERSATION: properties.correlation_id}
    span.describe({key: value for key, value in ids.items() if isinstance(value, str) and value})
