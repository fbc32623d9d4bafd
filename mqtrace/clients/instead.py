"""What to write for an object that `wrap` does not take, where a user may well try: each says its own door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["instead_of"]

_CELERY: Final = "write mqtrace.instrument_celery(app), which traces its tasks"
_PIKA: Final = "wrap its channels, mqtrace.wrap(connection.channel())"
_KOMBU: Final = "wrap what sends and receives on it, a kombu Producer, Consumer or SimpleQueue"
_AIO_PRODUCER: Final = (
    "it is asynchronous and takes no headers, so no context can travel: write mqtrace.wrap(Producer)(configuration), "
    "whose produce does not block and may be called from an async function"
)
_SENDS: Final = (
    "its sends are asynchronous, which wrap does not take yet: write headers = [] and mqtrace.inject(headers), and "
    "pass them on in the await of the send"
)
_AIO_PIKA: Final = "wrap its channels, mqtrace.wrap(await connection.channel())"
_HANDLES: Final = (
    "what it receives is asynchronous, which wrap does not take yet: decorate the handler of its messages, "
    "async def handle(message), with @mqtrace.consumer"
)
_EXTRACTS: Final = (
    "what it receives is asynchronous, which wrap does not take yet: write "
    "with mqtrace.use(mqtrace.extract(message.headers)): around the handling of a message"
)
_BLOCKING_SENDS: Final = (
    "it is not known yet: write headers = [] and mqtrace.inject(headers), and pass them to send(headers=headers)"
)
_BLOCKING_RECEIVES: Final = (
    "it is not known yet: write with mqtrace.use(mqtrace.extract(message.headers)): around the handling of a message"
)

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
    ("confluent_kafka", "AIOProducer"): _AIO_PRODUCER,
    ("confluent_kafka", "AsyncSerializingProducer"): _AIO_PRODUCER,
    ("confluent_kafka", "AIOConsumer"): _HANDLES,
    ("confluent_kafka", "AsyncDeserializingConsumer"): _HANDLES,
    ("aiokafka", "AIOKafkaProducer"): _SENDS,
    ("aiokafka", "AIOKafkaConsumer"): _EXTRACTS,
    ("kafka", "KafkaProducer"): _BLOCKING_SENDS,
    ("kafka", "KafkaConsumer"): _BLOCKING_RECEIVES,
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
