"""What ``Producer.produce_batch`` does, message by message: the client's own batch call cannot send headers.

The rules are the client's (confluent_kafka 2.16, ``produce_batch``): the whole list is looked at before anything is
sent; a message that cannot be queued gets the error under ``_error`` and the others go; the count of those is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka.cimpl import KafkaError, KafkaException, Producer

from .interrupts import interruption

__all__ = ["can_part", "plain_produce", "produce"]


def can_part(kind: type | None, messages: object) -> bool:
    """Whether a client of this class may send the messages one by one: ``produce_batch`` is
    the client's own, and would take this list.

    What it would not take, it is given, so that the error is its own.
    """
    if getattr(kind, "produce_batch", None) is not Producer.produce_batch:
        return False
    return isinstance(messages, list) and bool(messages) and all(_is_message(message) for message in messages)


def plain_produce(raw: Any) -> Callable[..., Any]:
    """``Producer.produce`` of a client: like the batch call, past the serializers and what a subclass does."""
    return Producer.produce.__get__(raw)  # type: ignore[no-any-return]  # a bound method


def _is_message(message: object) -> bool:
    if not isinstance(message, dict):
        return False
    texts = all(isinstance(message.get(name), (bytes, str, type(None))) for name in ("value", "key"))
    where = isinstance(message.get("partition"), (int, type(None)))
    # timestamps are not supported in a batch, and headers are looked at and left out
    return texts and where and message.get("timestamp") is None and message.get("headers") is None


def produce(
    call: Callable[..., Any], topic: str, message: Mapping[str, Any], partition: int, callback: Any, headers: Any
) -> KafkaError | None:
    """Queue one message with ``call``, see :func:`plain_produce`; the error for its ``_error``, or None."""
    own = message.get("partition")
    given = message.get("callback")
    try:
        call(
            topic,
            message.get("value"),
            message.get("key"),
            partition if own is None else own,
            callback if given is None else given,
            None,
            0,
            headers,
        )
    except TypeError as error:
        lost = interruption(error, headers)
        if lost is None:
            raise
        raise lost from None
    except BufferError as error:
        return KafkaError(KafkaError._QUEUE_FULL, f"Message failed: {error}")
    except KafkaException as error:
        found = error.args[0]
        if found.code() == KafkaError._INVALID_ARG:  # the topic's name: of the whole batch
            raise
        return found  # type: ignore[no-any-return]  # a KafkaError, as the client documents
    return None
