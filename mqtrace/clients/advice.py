"""What the error of `wrap` advises for objects that it does not take, though a user may well try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["advice_for"]

_KOMBU: Final = "wrap what sends and receives on it, a kombu Producer, Consumer or SimpleQueue"
_SERIALIZES: Final = "it serializes before it sends: serialize the message yourself, and wrap the AIOProducer for it"
_DESERIALIZES: Final = "a coroutine makes it: wrap the object, mqtrace.wrap(await AsyncDeserializingConsumer(...))"

#: The top of a library's import path, names of its classes, and what to write instead.
_ADVICE: Final = (
    ("celery", "Celery Task", "write mqtrace.instrument_celery(app), which traces its tasks"),
    ("pika", "Connection BlockingConnection", "wrap its channels, mqtrace.wrap(connection.channel())"),
    ("kombu", "Connection Queue Exchange", _KOMBU),
    ("kombu", "ConsumerMixin", "return [mqtrace.wrap(Consumer(...))] from its get_consumers"),
    ("confluent_kafka", "AsyncSerializingProducer", _SERIALIZES),
    ("confluent_kafka", "AsyncDeserializingConsumer", _DESERIALIZES),
    ("aio_pika", "Channel Connection Exchange Queue", "wrap its channels, mqtrace.wrap(await connection.channel())"),
)
_BY_CLASS: Final[Mapping[tuple[str, str], str]] = {
    (library, name): advice for library, names, advice in _ADVICE for name in names.split()
}


def advice_for(kind: type) -> str | None:
    """What to write for this type or an object of it; None if there is no advice."""
    names = ((str(base.__module__).partition(".")[0], base.__name__) for base in kind.__mro__)
    return next((_BY_CLASS[name] for name in names if name in _BY_CLASS), None)
