"""The same without the socket, whose work is large and noisy beside what tracing adds.

The connection, its channels and its consumers are real ones. Then what writes to the socket is exchanged for what
throws the bytes away, and deliveries come as frames that pika encodes and decodes. So ``basic_publish`` and
``basic_ack`` are pika's down to the connection's output, and ``process_data_events`` is pika's from the delivery that
was read to the callback. All variants alike.
"""

from __future__ import annotations

import time
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
from pika import frame, spec

from bench.alternate import Slice, alternate
from bench.tracing import configure, traceparent

from .channels import BODY, properties, publish, traced

__all__ = ["figures"]

_SLICE = 200


class Sink:
    """A transport that is always done."""

    def write(self, data: bytes) -> None:
        """Throw it away."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0


def figures(variant: str, url: str, count: int) -> dict[str, float]:
    """CPU of a publish, and of a callback with its acknowledgement. ``count``: messages, bare and as many traced."""
    flush = configure(variant)
    connection: Any = pika.BlockingConnection(pika.URLParameters(url))
    bare = _slice(connection, connection.channel(), variant)
    ours = _slice(connection, traced(variant, connection.channel()), variant)
    impl = connection._impl
    transport, impl._transport = impl._transport, Sink()
    pairs = max(2, count // _SLICE)
    found = alternate(bare, ours, flush, pairs)
    impl._transport = transport
    connection.close()
    return found | {"pika no socket spans": flush() / (pairs + 1) / _SLICE}


def _slice(connection: Any, channel: Any, variant: str) -> Slice:
    queue = channel.queue_declare("", exclusive=True).method.queue
    seen = 0

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal seen
        channel.basic_ack(method.delivery_tag)
        seen += 1

    tag = channel.basic_consume(queue, handle)
    deliveries = b"".join(
        _delivery(channel.channel_number, tag, number + 1, properties(traceparent(number, variant)))
        for number in range(_SLICE)
    )

    def measure() -> dict[str, float]:
        nonlocal seen
        began = time.thread_time()
        publish(channel, "shop", _SLICE)
        published = time.thread_time() - began
        connection._impl._on_data_available(deliveries)
        seen = 0
        began = time.thread_time()
        while seen < _SLICE:
            connection.process_data_events()
        consumed = time.thread_time() - began
        return {"pika no socket publish": published / _SLICE * 1e6, "pika no socket consume": consumed / _SLICE * 1e6}

    return measure


def _delivery(channel: int, consumer_tag: str, tag: int, given: pika.BasicProperties) -> bytes:
    method = spec.Basic.Deliver(consumer_tag, tag, False, "shop", "orders")
    frames = (frame.Method(channel, method), frame.Header(channel, len(BODY), given), frame.Body(channel, BODY))
    return b"".join(one.marshal() for one in frames)
