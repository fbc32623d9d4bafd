"""The messages that one channel has delivered and that are not settled yet, by delivery tag.

A message of pika is (method, properties, body), without its channel or its queue; an acknowledgement is only a number
on a channel. Here the two are matched. Delivery tags count up from 1 on each channel (AMQP 0-9-1, 2.1.2.4), and are
void when it closes.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakSet

from mqtrace.core import NoopSpan, Span, keep_recent
from mqtrace.messaging import Endpoint

__all__ = ["Deliveries", "find"]

# A prefetch count has 16 bits. Without one a consumer may hold more: then the outcomes of the oldest are not noted.
_OPEN: Final = 65536
# How many messages are kept: those that need no acknowledgement are read only while they are processed.
_FETCHED: Final = 4096


class Deliveries:
    """The deliveries of one traced channel. Written in its connection's thread, and read in others too."""

    __slots__ = ("__weakref__", "address", "consumers", "endpoint", "fetched", "open")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        #: The broker, as part of a template's key: one text, which is hashed once.
        self.address = f"{endpoint.address}:{endpoint.port}"
        #: By consumer tag of a basic_consume: the queue, and whether its messages need no acknowledgement.
        self.consumers: dict[str, tuple[str, bool]] = {}
        #: By tag of what basic_get and consume returned: the method, the queue, whether it needs no acknowledgement.
        self.fetched: dict[int, tuple[Any, str, bool]] = {}
        #: By tag of a message that is not settled: its process span.
        self.open: dict[int, Span | NoopSpan] = {}
        _all.add(self)

    def note_fetched(self, method: Any, queue: str, auto_ack: bool) -> None:
        """Note a message that the application asked for."""
        keep_recent(self.fetched, method.delivery_tag, (method, queue, auto_ack), _FETCHED)

    def source(self, method: Any) -> tuple[str, bool]:
        """The queue of a message (empty: not known), and whether it needs no acknowledgement."""
        fetched = self.fetched.get(method.delivery_tag)
        if fetched is not None and fetched[0] is method:
            return fetched[1], fetched[2]
        return self.consumers.get(getattr(method, "consumer_tag", ""), ("", False))

    def hold(self, tag: int, span: Span | NoopSpan) -> None:
        """Keep the process span of a message until it is settled."""
        keep_recent(self.open, tag, span, _OPEN)

    def handles(self, tag: int) -> bool:
        """Whether the process span of this message is open."""
        span = self.open.get(tag)
        return span is not None and not span.ended

    def take(self, tag: int, multiple: bool) -> list[Span | NoopSpan]:
        """Forget the messages that an acknowledgement settles. Returns their process spans, ended or not."""
        if not multiple:
            self.fetched.pop(tag, None)
            span = self.open.pop(tag, None)
            return [] if span is None else [span]
        # AMQP 0-9-1, basic.ack: up to and including this tag; with tag 0 all of them
        for settled in [other for other in list(self.fetched) if other <= tag or tag == 0]:
            self.fetched.pop(settled, None)
        tags = [other for other in list(self.open) if other <= tag or tag == 0]
        return [span for span in [self.open.pop(other, None) for other in tags] if span is not None]

    def count(self, tag: int) -> int:
        """How many messages an acknowledgement with ``multiple`` settles, as far as they are known."""
        fetched = [other for other, (_, _, auto_ack) in list(self.fetched.items()) if not auto_ack]
        return len({other for other in (*fetched, *list(self.open)) if other <= tag or tag == 0})

    def clear(self) -> None:
        """Forget everything: the channel is closed."""
        self.consumers.clear()
        self.fetched.clear()
        self.open.clear()


_all: WeakSet[Deliveries] = WeakSet()


def find(method: Any) -> Deliveries | None:
    """The deliveries of the traced channel whose basic_get or consume returned this message."""
    for deliveries in list(_all):
        fetched = deliveries.fetched.get(method.delivery_tag)
        if fetched is not None and fetched[0] is method:
            return deliveries
    return None
