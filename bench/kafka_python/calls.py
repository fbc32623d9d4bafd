"""What a message costs the application's thread: its send, and its turn in a loop over a consumer.

The client's own thread serializes batches and talks to the broker; what it takes is not counted, but the end of a send
span, which is on it, is in ``kafka-python send and report``: the whole process, until the broker has everything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # it ships no types

import mqtrace
from bench.alternate import Slice, alternate
from bench.tracing import configure, traceparent

__all__ = ["figures"]

_SLICE: Final = 200
_BODY: Final = b"x" * 100


def figures(variant: str, servers: str, count: int) -> dict[str, float]:
    """CPU of a send, with and without its report, and of a record of a loop. ``count``: four times the messages."""
    flush = configure(variant)
    topic = f"bench-kafka-python-{os.getpid()}"
    pairs = max(2, count // 4 // _SLICE)
    feed = KafkaProducer(bootstrap_servers=servers)
    for number in range(2 * (pairs + 2) * _SLICE):
        feed.send(topic, _BODY, headers=[("traceparent", traceparent(number, variant).encode())])
    feed.flush()
    bare = _slice(servers, topic, _off(variant), lambda client: client, lambda messages: messages)
    ours = _slice(servers, topic, _on(variant), _wrap(variant), _each(variant))
    found = alternate(bare, ours, flush, pairs)
    feed.close()
    return found


def _slice(
    servers: str,
    topic: str,
    switch: Callable[[], None],
    wrap: Callable[[Any], Any],
    each: Callable[[Any], Iterator[Any]],
) -> Slice:
    producer = wrap(KafkaProducer(bootstrap_servers=servers, linger_ms=5))
    consumer = wrap(KafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest"))
    sink = f"{topic}-sent"

    def measure() -> dict[str, float]:
        switch()
        began, all_began = time.thread_time(), time.process_time()
        for _ in range(_SLICE):
            producer.send(sink, _BODY)
        sent = time.thread_time() - began
        producer.flush()
        reported = time.process_time() - all_began
        began = time.thread_time()
        for _ in islice(each(consumer), _SLICE):
            pass
        taken = time.thread_time() - began
        return {
            "kafka-python send": sent / _SLICE * 1e6,
            "kafka-python send and report": reported / _SLICE * 1e6,
            "kafka-python next": taken / _SLICE * 1e6,
        }

    return measure


def _wrap(variant: str) -> Callable[[Any], Any]:
    return mqtrace.wrap if variant.startswith("mqtrace") else lambda client: client


def _each(variant: str) -> Callable[[Any], Any]:
    return mqtrace.each if variant.startswith("mqtrace") else lambda messages: messages


def _on(variant: str) -> Callable[[], None]:
    if variant != "opentelemetry":
        return lambda: None
    from opentelemetry.instrumentation.kafka import KafkaInstrumentor

    # it patches the classes, so the bare clients too: see _off
    return lambda: KafkaInstrumentor().instrument(skip_dep_check=True)


def _off(variant: str) -> Callable[[], None]:
    if variant != "opentelemetry":
        return lambda: None
    from opentelemetry.instrumentation.kafka import KafkaInstrumentor

    return lambda: KafkaInstrumentor().uninstrument()
