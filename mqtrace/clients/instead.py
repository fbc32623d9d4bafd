"""What to write for an object that `wrap` does not take, where a user may well try: each says its own door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["instead_of"]

_CELERY: Final = "write mqtrace.instrument_celery(app), which traces its tasks"
_PIKA: Final = "wrap its channels, mqtrace.wrap(connection.channel())"
_KOMBU: Final = "wrap what sends and receives on it, a kombu Producer, Consumer or SimpleQueue"
_SERIALIZES: Final = "it serializes before it sends: serialize the message yourself, and wrap the AIOProducer for it"
_DESERIALIZES: Final = "a coroutine makes it: wrap the object, mqtrace.wrap(await AsyncDeserializingConsumer(...))"
_AIO_PIKA: Final = "wrap its channels, mqtrace.wrap(await connection.channel())"

#: The top of a library's import path and the name of a class -> what to write instead.
_INSTEAD: Final[Mapping[tuple[str, str], str]] = {
    ("celery", "Celery"): _CELERY,
    ("celery", "Task"): _CELERY,
    ("pika", "Connection"): _PIKA,
    ("pika", "BlockingConnection"): _PIKA,
    ("kombu", "Connection"): _KOMBU,
    ("kombu", "Queue"): _KOMBU,
    ("kombu", "Exchange"): _KOMBU,
    ("kombu", "ConsumerMixin"): "return [mqtrace.wrap(Consumer(...))] from its get_consumers",
    ("confluent_kafka", "AsyncSerializingProducer"): _SERIALIZES,
    ("confluent_kafka", "AsyncDeserializingConsumer"): _DESERIALIZES,
    ("aio_pika", "Channel"): _AIO_PIKA,
    ("aio_pika", "Connection"): _AIO_PIKA,
    ("aio_pika", "Exchange"): _AIO_PIKA,
    ("aio_pika", "Queue"): _AIO_PIKA,
}


def instead_of(kind: type) -> str | None:
    """What to write for objects of this type, or for the type itself; None where nobody knows."""
    for base in kind.__mro__:
        said = _INSTEAD.get((str(base.__module__).partition(".")[0], base.__name__))
        if said is not None:
            return said
    return None
