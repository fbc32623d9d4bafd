"""``Producer.produce_batch``, message by message: the client's own batch call cannot send headers.

The rules are the client's (confluent_kafka 2.16, ``produce_batch``): the whole list is checked before anything is sent.
A message that cannot be queued gets the error under ``_error``, the others are sent, and their number is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka.cimpl import KafkaError, KafkaException, Producer

from mqtrace.core import NoopSpan, Span
from mqtrace.messaging.attributes import ERROR_TYPE

from .signal_errors import interruption

__all__ = ["base_produce", "can_send_singly", "note_refused", "produce", "produce_all"]


def can_send_singly(kind: type | None, messages: object) -> bool:
    """Whether the messages may be sent one by one: the class does not override the batch call, which takes this list.

    The batch call is given a list that it would refuse, so that the error is the client's.
    """
    if getattr(kind, "produce_batch", None) is not Producer.produce_batch:
        return False
    return isinstance(messages, list) and bool(messages) and _are_messages(messages)


def base_produce(raw: Any) -> Callable[..., Any]:
    """``Producer.produce`` of a client: like the batch call, it skips serializers and overriding methods."""
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
        # timestamps are not supported in a batch, and headers are checked but not sent
        is_partition = isinstance(get("partition"), (int, type(None)))
        if not is_partition or get("timestamp") is not None or get("headers") is not None:
            return False
    return True


def produce(
    call: Callable[..., Any], topic: str, message: Mapping[str, Any], partition: int, callback: Any, headers: Any
) -> KafkaError | None:
    """Queue one message with ``call``, see :func:`base_produce`. Returns the error for its ``_error``, or None."""
    own_partition = message.get("partition")
    own_callback = message.get("callback")
    try:
        call(
            topic,
            message.get("value"),
            message.get("key"),
            partition if own_partition is None else own_partition,
            callback if own_callback is None else own_callback,
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
        kafka_error = error.args[0]
        if kafka_error.code() == KafkaError._INVALID_ARG:  # the topic's name, for the whole batch
            raise
        return kafka_error  # type: ignore[no-any-return]  # a KafkaError, as the client documents
    return None


def produce_all(
    call: Callable[..., Any],
    topic: str,
    messages: list[dict[str, Any]],
    partition: int,
    callback: Any,
    headers: Iterator[Any],
) -> int:
    """Queue each message with the next of ``headers``, as :func:`produce` does. Returns how many were queued."""
    sent = 0
    for message, message_headers in zip(messages, headers, strict=False):
        error = produce(call, topic, message, partition, callback, message_headers)
        if error is None:
            sent += 1
        else:
            message["_error"] = error
    return sent


def note_refused(span: Span | NoopSpan, messages: list[Any], sent: int) -> int:
    """Set the span of a batch to an error if messages were refused. Returns ``sent``, how many were queued."""
    if sent < len(messages):
        span.set_attribute(ERROR_TYPE, "partial_failure")
        span.set_status("error", f"{len(messages) - sent} of {len(messages)} messages were refused")
    return sent
