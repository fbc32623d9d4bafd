"""What a message costs the thread that publishes or handles it, on kombu's memory transport.

OpenTelemetry has no instrumentation of kombu.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import mqtrace
from bench.alternate import Slice, alternate
from bench.tracing import configure, traceparent

__all__ = ["figures"]

kombu: Any = importlib.import_module("kombu")  # it ships no types that a checker could use

_SLICE = 200
_BODY = "x" * 100


def figures(variant: str, url: str, count: int) -> dict[str, float]:
    """CPU of a publish, and of a callback with its acknowledgement. ``count``: messages, bare and as many traced."""
    if variant == "opentelemetry":
        return {}
    flush = configure(variant)
    bare = _slice(url, "bare", variant, lambda client: client)
    ours = _slice(url, "traced", variant, (lambda client: client) if variant == "bare" else mqtrace.wrap)
    pairs = max(2, count // _SLICE)
    found = alternate(bare, ours, flush, pairs)
    return found | {"kombu spans": flush() / (pairs + 1) / _SLICE}


def _slice(url: str, name: str, variant: str, traced: Any) -> Slice:
    connection = kombu.Connection(url)
    sent = kombu.Queue(f"sent-{name}", kombu.Exchange(f"sent-{name}"), "orders")(connection.channel())
    came = kombu.Queue(f"came-{name}", kombu.Exchange(f"came-{name}"), "orders")
    sent.declare()
    feed = kombu.Producer(connection, came.exchange, "orders", auto_declare=False)
    producer = traced(kombu.Producer(connection, sent.exchange, "orders"))
    seen = 0

    def handle(body: Any, message: Any) -> None:
        nonlocal seen
        message.ack()
        seen += 1

    consumer = traced(kombu.Consumer(connection.channel(), [came], callbacks=[handle]))
    consumer.consume()

    def measure() -> dict[str, float]:
        nonlocal seen
        call = producer.publish
        began = time.thread_time()
        for _ in range(_SLICE):
            call(_BODY)
        published = time.thread_time() - began
        sent.purge()
        for number in range(_SLICE):
            feed.publish(_BODY, headers={"traceparent": traceparent(number, variant)})
        seen = 0
        began = time.thread_time()
        while seen < _SLICE:
            connection.drain_events(timeout=1)
        consumed = time.thread_time() - began
        return {"kombu publish": published / _SLICE * 1e6, "kombu consume": consumed / _SLICE * 1e6}

    return measure
