"""The adapters of messages by their types, and the registries that know the adapter of a type not seen before.

A client registers its types when its module is imported, which happens when the first object of its library is seen.
mqtrace.clients adds the registries (:func:`add_registry`): this room knows no client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from mqtrace.core import NoopSpan, Span, keep_recent

from .batch import Batch
from .operation import Operation

__all__ = [
    "MessageAdapter",
    "adapter_in",
    "adapter_of",
    "adapters",
    "add_registry",
    "parts",
    "register",
    "register_part",
    "registry_of",
]


class MessageAdapter(Protocol):
    """Reads the messages of a client.

    One whose ``begin`` returns None for a message that is in a callback also has ``handled(message)``, the span that is
    open for it; None without.
    """

    def begin(self, operation: Operation, message: Any, /) -> Span | NoopSpan | None:
        """Start the process span of a message; None if it is not a message: an event, a partition's end."""

    def collect(self, operation: Operation, messages: Iterable[Any], /) -> Batch | None:
        """Read the contexts of a batch; None if it has no messages."""


_adapters: dict[type, MessageAdapter] = {}


def register(message: type, adapter: MessageAdapter) -> None:
    """Register a type whose objects are messages. For client files."""
    _adapters[message] = adapter


#: Types of messages that have been registered; read by mqtrace.messaging.handlers once a message.
adapters: Final[Mapping[type, MessageAdapter]] = _adapters

_parts: dict[type, MessageAdapter] = {}


def register_part(part: type, adapter: MessageAdapter) -> None:
    """Register a type of parts: a tuple, or a handler's arguments, with such an object among them is a message.

    The adapter is given the whole tuple. For client files.
    """
    _parts[part] = adapter


#: Types of such parts that have been registered.
parts: Final[Mapping[type, MessageAdapter]] = _parts

# Types that were looked up and are not messages: types of handlers' arguments. They are few, but bounded all the same.
_no_messages: dict[type, None] = {}
_REMEMBERED: Final = 1024

#: Returns a client's adapter for a type; None if the type is not one of its messages.
Registry = Callable[[type], "MessageAdapter | None"]
_registries: list[Registry] = []


def add_registry(registry: Registry) -> None:
    """Have this called for types that nobody has registered yet."""
    _registries.append(registry)


def registry_of(
    message: type, adapter: MessageAdapter, note: Callable[[type, MessageAdapter], None] = register
) -> Registry:
    """The registry of a client whose messages are of this type and its subclasses, each registered when it is seen.

    ``note``: :func:`register`, or :func:`register_part` for a type of parts.
    """

    def adapter_of(kind: type) -> MessageAdapter | None:
        if not issubclass(kind, message):
            return None
        note(kind, adapter)
        return adapter

    return adapter_of


def adapter_of(kind: type) -> MessageAdapter | None:
    """The adapter of messages of this type; None if it is not a message."""
    adapter = _adapters.get(kind) or _parts.get(kind)
    if adapter is not None or kind in _no_messages:
        return adapter
    for registry in _registries:
        adapter = registry(kind)
        if adapter is not None:
            return adapter
    keep_recent(_no_messages, kind, None, _REMEMBERED)
    return None


def adapter_in(message: Any) -> MessageAdapter | None:
    """The adapter of this message: by its type, or by a part of it if it is a tuple; None if it is not a message."""
    adapter = adapter_of(type(message))
    if adapter is None and isinstance(message, tuple):
        for part in message:
            if adapter_of(type(part)) is not None and type(part) in _parts:
                return _parts[type(part)]
    return adapter
