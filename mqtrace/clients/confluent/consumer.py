"""A traced confluent-kafka consumer: the process spans of its messages have its group.

``poll`` and ``consume`` are the client's own methods, so that an empty poll takes no longer than without mqtrace. There
are three exceptions: receive spans are wanted; one process reads a topic in two groups (messaging/consumers.py); or the
topics have to be learned from the messages, because the client subscribed before it was wrapped, or to a pattern that
only librdkafka can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from mqtrace.clients.kafka_clients import TracedCloseBlock

from .consumer_state import ConsumerState

__all__ = ["TracedConsumer"]


class TracedConsumer(TracedCloseBlock):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ConsumerState
    _mqtrace_bound = ("poll", "consume", "commit")

    def subscribe(self, topics: Any, *args: Any, **kwargs: Any) -> Any:
        """``subscribe`` of the client. Its callbacks are passed this consumer instead of the client."""
        state = self._mqtrace
        if state.raw is not None:
            args = tuple(_passing(ref(self), callback) for callback in args)
            kwargs = {name: _passing(ref(self), callback) for name, callback in kwargs.items()}
        result = super().subscribe(topics, *args, **kwargs)
        state.subscribe(topics)
        return result

    def unsubscribe(self) -> Any:
        """``unsubscribe`` of the client."""
        self._mqtrace.subscribed = []  # messages that were fetched may still be handled: their topics stay noted
        return super().unsubscribe()

    def assign(self, partitions: Any, /) -> Any:
        """``assign`` of the client. In a callback of ``subscribe`` the subscription stays what it was."""
        result = super().assign(partitions)
        state = self._mqtrace
        state.reading.set_topics([*state.subscribed, *(partition.topic for partition in partitions)])
        if not state.subscribed:
            state.learn_topics(False)
        return result

    def incremental_assign(self, partitions: Any, /) -> Any:
        """``incremental_assign`` of the client."""
        result = super().incremental_assign(partitions)
        self._mqtrace.reading.add_topics(partition.topic for partition in partitions)
        return result


def _passing(consumer_ref: Callable[[], Any], callback: Any) -> Any:
    """A callback of ``subscribe`` that passes on the traced consumer, which it does not keep alive."""
    if not callable(callback):
        return callback

    def call(raw: Any, partitions: Any) -> Any:
        consumer = consumer_ref()
        return callback(raw if consumer is None else consumer, partitions)

    return call
