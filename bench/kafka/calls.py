"""What a call costs the thread that makes it; the spans are made and queued, and thrown away by the worker.

CPU is that of the calling thread (``time.thread_time``). Times are microseconds a message or call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count as counter
from itertools import cycle
from statistics import median
from typing import Any

from bench.steady import awake, steady
from bench.tracing import identity

from .client import PAYLOAD, configuration, fill, ignore, send, subscribed
from .variants import Variant, make

__all__ = ["figures"]

_turns = counter()
# Messages that are handled before any is measured: what a young process has not touched yet is paid for then.
_BEFORE = 1_500
# Different ones in turn: of one and the same a processor learns each digit.
_CONTEXTS = cycle([identity(number, sampled=True) for number in range(1024)])


def figures(name: str, bootstrap: str, count: int) -> dict[str, float]:
    """CPU of every call."""
    client = configuration(bootstrap)
    variant = make(name, None)
    unsampled = name == "mqtrace unsampled"
    found = {
        # a few milliseconds each: the first ones pay for what a young process has not touched yet
        "produce": median(steady(lambda: produce(variant, client, count)) for _ in range(5)),
        "poll": steady(lambda: poll(variant, client, count, unsampled)),
        "batch": steady(lambda: batch(variant, client, count, unsampled)),
        "span": steady(lambda: calls(variant.span, count)),
        "inject": steady(lambda: calls(lambda: variant.inject({}), count)),
        "extract": steady(lambda: calls(lambda: variant.extract({"traceparent": next(_CONTEXTS)}), count)),
    }
    if name != "opentelemetry":  # whose producer says of produce_batch that it has been closed
        found["produce batch"] = median(steady(lambda: produce_batch(variant, client, count)) for _ in range(5))
    if name == "mqtrace":
        from . import mqtrace_only

        found |= mqtrace_only.figures(bootstrap, count)
    elif name == "opentelemetry":
        from . import opentelemetry_only

        found |= opentelemetry_only.figures(count)
    return found


def calls(call: Callable[[], None], count: int) -> float:
    """CPU of one call."""
    for _ in range(count // 10):
        call()
    began = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - began) / count * 1e6


def produce(variant: Variant, client: dict[str, Any], count: int) -> float:
    """CPU of produce and its delivery report."""
    producer = variant.producer(client)
    send(producer, "warm", count)  # the memory that so many messages take is taken once
    began = time.thread_time()
    send(producer, "produce", count)
    return (time.thread_time() - began) / count * 1e6


def produce_batch(variant: Variant, client: dict[str, Any], count: int) -> float:
    """CPU of produce_batch, a message, a hundred at a time; their delivery reports are not looked at."""
    producer = variant.producer({**client, "queue.buffering.max.messages": 1_000_000})
    messages = [{"value": PAYLOAD} for _ in range(100)]
    took = 0.0
    for _ in range(2):  # the memory that so many messages take is taken once
        began = time.thread_time()
        for _ in range(count // 100):
            producer.produce_batch("produce-batch", messages)
        took = time.thread_time() - began
        producer.flush(60)
    return took / (count // 100 * 100) * 1e6


def poll(variant: Variant, client: dict[str, Any], count: int, unsampled: bool) -> float:
    """CPU of a poll that gives a message, and its decorated handler."""
    topic = f"poll-{os.getpid()}-{next(_turns)}"
    fill(client, topic, _BEFORE + count, unsampled)
    consumer = subscribed(variant, client, topic)
    handle = variant.handler(ignore)
    while consumer.poll(1.0) is None:
        pass
    awake(1.0)  # the client has fetched ahead: what is measured is the call, not the wait
    seen = 1
    began = 0.0
    while seen < _BEFORE + count:
        message = consumer.poll(1.0)
        if message is not None:
            handle(message)
            seen += 1
            if seen == _BEFORE:
                began = time.thread_time()
    took = time.thread_time() - began
    consumer.close()
    return took / count * 1e6


def batch(variant: Variant, client: dict[str, Any], count: int, unsampled: bool) -> float:
    """CPU of consume(100) and the batch's span, a message."""
    topic = f"batch-{os.getpid()}-{next(_turns)}"
    fill(client, topic, count, unsampled)
    consumer = subscribed(variant, client, topic)
    seen = 0
    while not (first := consumer.consume(1, 1.0)):
        pass
    variant.batch(first)  # as above
    awake(1.0)
    seen += len(first)
    began = time.thread_time()
    while seen < count:
        messages = consumer.consume(100, 1.0)
        if messages:
            variant.batch(messages)
            seen += len(messages)
    took = time.thread_time() - began
    consumer.close()
    return took / count * 1e6
