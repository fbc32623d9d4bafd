"""A confluent-kafka consumer that is traced: its messages' process spans know its group.

``poll`` and ``consume`` are the client's own methods, untouched, so that an empty poll costs what it did. There are
three exceptions: a receive span is asked for; one process reads a topic in two groups (messaging/consumers.py); or the
topics have to be learned from the messages, because the client subscribed before it was wrapped, or to a pattern that
only librdkafka can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from mqtrace.clients.proxy import Traced

from .polls import Polls

__all__ = ["TracedConsumer"]


class TracedConsumer(Traced):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Polls
    _mqtrace_bound = ("poll", "consume", "commit")

    def subscribe(self, topics: Any, *args: Any, **kwargs: Any) -> Any:
        """``subscribe`` of the client; its callbacks are given this consumer, as they would be given the client."""
        polls = self._mqtrace
        if polls.raw is not None:
            args = tuple(_handing(self, callback) for callback in args)
            kwargs = {name: _handing(self, callback) for name, callback in kwargs.items()}
        result = super().subscribe(topics, *args, **kwargs)
        polls.subscribes(topics)
        return result

    def unsubscribe(self) -> Any:
        """``unsubscribe`` of the client."""
        self._mqtrace.subscribed = []  # what was fetched may still be handled: its topics stay known
        return super().unsubscribe()

    def assign(self, partitions: Any, /) -> Any:
        """``assign`` of the client. In a callback of ``subscribe`` the subscription stays what it was."""
        result = super().assign(partitions)
        polls = self._mqtrace
        polls.reading.reads([*polls.subscribed, *(one.topic for one in partitions)])
        if not polls.subscribed:
            polls.watch(False)
        return result

    def incremental_assign(self, partitions: Any, /) -> Any:
        """``incremental_assign`` of the client."""
        result = super().incremental_assign(partitions)
        polls = self._mqtrace
        polls.reading.reads_also(one.topic for one in partitions)
        return result

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        result = super().close(*args, **kwargs)
        self._mqtrace.reading.closed()
        return result

    def __enter__(self) -> TracedConsumer:
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        result = super().__exit__(*exception)
        self._mqtrace.reading.closed()
        return result


def _handing(consumer: TracedConsumer, callback: Any) -> Any:
    return _Rebalance(consumer, callback) if callable(callback) else callback


class _Rebalance:
    """A callback of ``subscribe`` that is given the traced consumer, which it does not keep alive."""

    __slots__ = ("callback", "consumer")

    def __init__(self, consumer: TracedConsumer, callback: Callable[..., Any]) -> None:
        self.consumer = ref(consumer)
        self.callback = callback

    def __call__(self, raw: Any, partitions: Any) -> Any:
        consumer = self.consumer()
        return self.callback(raw if consumer is None else consumer, partitions)
