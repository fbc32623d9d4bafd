"""What ``Producer.produce_batch`` does, message by message: the client's own batch call cannot send headers.

The rules are the client's (confluent_kafka 2.16, ``produce_batch``): the whole list is looked at before anything is
sent; a message that cannot be queued gets the error under ``_error`` and the others go; the count of those is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka.cimpl import KafkaError, KafkaException, Producer

from mqtrace.core import NoopSpan, Span
from mqtrace.messaging.attributes import ERROR_TYPE

from .signal_errors import interruption

__all__ = ["can_part", "plain_produce", "produce", "produce_all", "refused"]


def can_part(kind: type | None, messages: object) -> bool:
    """Whether a client of this class may send the messages one by one: the batch call is its own, and takes this list.

    What it would not take, it is given, so that the error is its own.
    """
    if getattr(kind, "produce_batch", None) is not Producer.produce_batch:
        return False
    return isinstance(messages, list) and bool(messages) and _are_messages(messages)


def plain_produce(raw: Any) -> Callable[..., Any]:
    """``Producer.produce`` of a client: like the batch call, past the serializers and what a subclass does."""
    return Producer.produce.__get__(raw)  # type: ignore[no-any-return]  # a bound method


def _are_messages(messages: list[Any]) -> bool:
    for message in messages:
        if not isinstance(message, dict):
            return False
        get = message.get
        value, key = get("value"), get("key")
        if value is not None and not isinstance(value, (bytes, str)):
            return False
        if key is not None and not isinstance(key, (bytes, str)):
            return False
        if len(message) == 1 and value is not None:  # nothing but a value, as in most batches
            continue
        # timestamps are not supported in a batch, and headers are looked at and left out
        where = isinstance(get("partition"), (int, type(None)))
        if not where or get("timestamp") is not None or get("headers") is not None:
            return False
    return True


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


def produce_all(
    call: Callable[..., Any], topic: str, messages: list[dict[str, Any]], partition: int, callback: Any, headers: Any
) -> int:
    """Queue all of them with the same headers, as :func:`produce` does each; how many were queued."""
    sent = 0
    for message in messages:
        error = produce(call, topic, message, partition, callback, headers)
        if error is None:
            sent += 1
        else:
            message["_error"] = error
    return sent


def refused(sending: Span | NoopSpan, messages: list[Any], sent: int) -> int:
    """Say on the span of a batch whether messages were refused; how many were queued."""
    if sent < len(messages):
        sending.set_attribute(ERROR_TYPE, "partial_failure")
        sending.set_status("error", f"{len(messages) - sent} of {len(messages)} messages were refused")
    return sent
