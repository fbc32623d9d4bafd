"""Client libraries, a module or package each, which map the library's calls to mqtrace.messaging.

The module of a client is imported when an object of its library is first seen. So no library is imported that the user
has not imported already.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from mqtrace.messaging.adapters import MessageAdapter, add_registry

if TYPE_CHECKING:
    from .entry_points import EntryPointClient

__all__ = ["SUPPORTED", "module_of"]

#: The top of a library's import path -> the module of its clients. ``cimpl`` is confluent_kafka's extension.
_MODULES: Final = {
    "aiokafka": "mqtrace.clients.aiokafka",
    "confluent_kafka": "mqtrace.clients.confluent",
    "cimpl": "mqtrace.clients.confluent",
    "kafka": "mqtrace.clients.kafka_python",
    "pika": "mqtrace.clients.pika",
    "kombu": "mqtrace.clients.kombu",
    "aio_pika": "mqtrace.clients.aio_pika",
}

#: What ``wrap`` takes, for the error about anything else.
SUPPORTED: Final = (
    "confluent_kafka Producer, Consumer, SerializingProducer, DeserializingConsumer, AIOProducer and AIOConsumer "
    "(pip install 'mqtrace[kafka]'), "
    "aiokafka AIOKafkaProducer and AIOKafkaConsumer (pip install 'mqtrace[aiokafka]'), "
    "kafka-python KafkaProducer and KafkaConsumer (pip install 'mqtrace[kafka-python]'), "
    "pika channels (pip install 'mqtrace[pika]'), "
    "kombu Producer, Consumer and SimpleQueue (pip install 'mqtrace[kombu]'), "
    "aio-pika channels (pip install 'mqtrace[aio-pika]')"
)


def module_of(kind: type) -> ModuleType | EntryPointClient | None:
    """The client module of a type, by the module that defines it or one of its bases; None if there is none.

    A type of any other library may belong to a client of another distribution.
    """
    for base in kind.__mro__:
        name = _MODULES.get(str(base.__module__).partition(".")[0])
        if name is not None and importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    from .entry_points import client_of  # only then: it reads the installed distributions

    return client_of(kind)


def _adapter_of(kind: type) -> MessageAdapter | None:
    find: Any = getattr(module_of(kind), "adapter_of", None)
    return None if find is None else find(kind)


add_registry(_adapter_of)
