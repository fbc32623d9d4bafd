"""What one channel has handed to the application and not yet seen settled, by delivery tag.

A message of pika is spread over (method, properties, body) and does not know its channel or its queue; an
acknowledgement is nothing but a number on a channel. Both meet here. Delivery tags count up from 1 on each channel
(AMQP 0-9-1, 2.1.2.4), and are void when it closes.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakSet

from mqtrace.core import NoopSpan, Span, keep_recent
from mqtrace.messaging import Endpoint

__all__ = ["Deliveries", "find"]

# A prefetch count has 16 bits; who sets none may hold more, and then only outcomes of the oldest go unnoticed.
_HELD: Final = 65536
# Those without acknowledgement are only of interest while they are handled.
_HANDED: Final = 4096


class Deliveries:
    """Of one wrapped channel. Used in its connection's thread, and looked into from others."""

    __slots__ = ("__weakref__", "address", "consumers", "endpoint", "handed", "open")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        #: The broker, as part of a template's key: a text hashes once.
        self.address = f"{endpoint.address}:{endpoint.port}"
        #: What basic_consume reads: consumer tag -> the queue, whether nobody acknowledges its messages.
        self.consumers: dict[str, tuple[str, bool]] = {}
        #: Messages that basic_get and consume gave: tag -> the method, the queue, whether nobody acknowledges it.
        self.handed: dict[int, tuple[Any, str, bool]] = {}
        #: Process spans of messages that are not settled: tag -> span.
        self.open: dict[int, Span | NoopSpan] = {}
        _all.add(self)

    def hand(self, method: Any, queue: str, auto_ack: bool) -> None:
        """Note a message that the application asked for."""
        keep_recent(self.handed, method.delivery_tag, (method, queue, auto_ack), _HANDED)

    def source(self, method: Any) -> tuple[str, bool]:
        """The queue of a message, and whether nobody acknowledges it."""
        handed = self.handed.get(method.delivery_tag)
        if handed is not None and handed[0] is method:
            return handed[1], handed[2]
        return self.consumers.get(getattr(method, "consumer_tag", ""), ("", False))

    def begin(self, tag: int, span: Span | NoopSpan) -> None:
        """Note the process span of a message."""
        keep_recent(self.open, tag, span, _HELD)

    def is_handled(self, tag: int) -> bool:
        """Whether a process span of this message is at work right now."""
        span = self.open.get(tag)
        return span is not None and not span.ended

    def settle(self, tag: int, multiple: bool) -> list[Span | NoopSpan]:
        """Forget what an acknowledgement settles; the process spans of it that are known, ended or not."""
        if not multiple:
            self.handed.pop(tag, None)
            span = self.open.pop(tag, None)
            return [] if span is None else [span]
        # AMQP 0-9-1, basic.ack: up to and including this tag; with tag 0 all of them
        for one in [one for one in list(self.handed) if one <= tag or tag == 0]:
            self.handed.pop(one, None)
        tags = [one for one in list(self.open) if one <= tag or tag == 0]
        return [span for span in [self.open.pop(one, None) for one in tags] if span is not None]

    def clear(self) -> None:
        """The channel is closed."""
        self.consumers.clear()
        self.handed.clear()
        self.open.clear()


_all: WeakSet[Deliveries] = WeakSet()


def find(method: Any) -> Deliveries | None:
    """The deliveries of the wrapped channel that basic_get or consume was called on for this message."""
    for one in list(_all):
        handed = one.handed.get(method.delivery_tag)
        if handed is not None and handed[0] is method:
            return one
    return None
