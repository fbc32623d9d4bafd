"""What a message costs the thread of a BlockingConnection, its socket work included.

What is published goes to an exchange that nothing is bound to, so that the broker does little beside. What is consumed
was published by a bare channel, and has arrived when the clock starts.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types

from bench.alternate import Slice, alternate
from bench.steady import awake
from bench.tracing import configure, traceparent

from .channels import BODY, properties, publish, traced

__all__ = ["figures"]

_SLICE = 100


def figures(variant: str, url: str, count: int) -> dict[str, float]:
    """CPU of a publish, and of a callback with its acknowledgement. ``count``: four times as many as are handled."""
    flush = configure(variant)
    connection = pika.BlockingConnection(pika.URLParameters(url))
    exchange = f"bench-{os.getpid()}"
    connection.channel().exchange_declare(exchange, "fanout", auto_delete=True)
    bare = _slice(connection, connection.channel(), exchange, variant)
    ours = _slice(connection, traced(variant, connection.channel()), exchange, variant)
    pairs = max(2, count // 4 // _SLICE)
    found = alternate(bare, ours, flush, pairs)
    connection.close()
    return found | {"pika spans": flush() / (pairs + 1) / _SLICE}


def _slice(connection: Any, channel: Any, exchange: str, variant: str) -> Slice:
    feed = connection.channel()
    queue = feed.queue_declare("", exclusive=True).method.queue
    seen = 0

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal seen
        channel.basic_ack(method.delivery_tag)
        seen += 1

    def measure() -> dict[str, float]:
        nonlocal seen
        began = time.thread_time()
        publish(channel, exchange, _SLICE)
        published = time.thread_time() - began
        for number in range(_SLICE):
            feed.basic_publish("", queue, BODY, properties(traceparent(number, variant)))
        seen = 0
        tag = channel.basic_consume(queue, handle)
        awake(0.05)
        began = time.thread_time()
        while seen < _SLICE:
            connection.process_data_events(time_limit=1)
        consumed = time.thread_time() - began
        channel.basic_cancel(tag)
        return {"pika publish": published / _SLICE * 1e6, "pika consume": consumed / _SLICE * 1e6}

    return measure
