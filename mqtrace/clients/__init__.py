"""Client libraries, one a room: each maps native calls to mqtrace.messaging.

A client's module is imported when an object of its library is first seen, so nothing is imported that the user has not
installed and imported already.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any, Final

from mqtrace.core import keep_recent
from mqtrace.messaging import MessageAdapter, adapters, parts

__all__ = ["SUPPORTED", "adapter_in", "adapter_of", "module_of"]

#: The top of a library's import path -> the module that knows it. ``cimpl`` is confluent_kafka's extension.
_MODULES: Final = {
    "confluent_kafka": "mqtrace.clients.confluent",
    "cimpl": "mqtrace.clients.confluent",
    "pika": "mqtrace.clients.pika",
    "kombu": "mqtrace.clients.kombu",
    "aio_pika": "mqtrace.clients.aio_pika",
}

#: What ``wrap`` says when it is given something else.
SUPPORTED: Final = (
    "confluent_kafka Producer, Consumer, SerializingProducer and DeserializingConsumer "
    "(pip install 'mqtrace[kafka]'), "
    "pika channels (pip install 'mqtrace[pika]'), "
    "kombu Producer, Consumer and SimpleQueue (pip install 'mqtrace[kombu]'), "
    "aio-pika channels (pip install 'mqtrace[aio-pika]')"
)

# Types that were looked up and are no messages: the arguments of handlers, so a few, but bounded all the same.
_no_messages: dict[type, None] = {}
_REMEMBERED: Final = 1024


def module_of(kind: type) -> ModuleType | None:
    """The client module of a type, by where the type or one of its bases is defined; None where there is none."""
    for base in kind.__mro__:
        name = _MODULES.get(str(base.__module__).partition(".")[0])
        if name is not None and importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    return None


def adapter_of(kind: type) -> MessageAdapter | None:
    """What reads messages of this type; None where it is no message."""
    known = adapters.get(kind) or parts.get(kind)
    if known is not None or kind in _no_messages:
        return known
    module = module_of(kind)
    find: Any = getattr(module, "adapter_of", None)
    found: MessageAdapter | None = find(kind) if find is not None else None
    if found is None:
        keep_recent(_no_messages, kind, None, _REMEMBERED)
    return found


def adapter_in(message: Any) -> MessageAdapter | None:
    """What reads this message: by its type, or by a part of it where it is a tuple; None where it is no message."""
    found = adapter_of(type(message))
    if found is None and isinstance(message, tuple):
        for part in message:
            if adapter_of(type(part)) is not None and type(part) in parts:
                return parts[type(part)]
    return found
