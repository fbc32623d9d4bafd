"""One variant's figures, as JSON on standard output: ``python -m bench.measure VARIANT BOOTSTRAP SCALE EXPORT``.

CPU is that of the calling thread (``time.thread_time``), but for the whole process, where it is everything the process
used: librdkafka's threads and the export beside. Times are microseconds a message or call.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import confluent_kafka

from . import variants

PAYLOAD = b"x" * 100
SAMPLED = f"00-{'a1' * 16}-{'b2' * 8}-03".encode()


def main() -> None:
    """Measure."""
    name, bootstrap, scale, export = sys.argv[1:5]
    count = max(200, int(20_000 * float(scale)))
    client = {"bootstrap.servers": bootstrap, "client.id": "bench", "log_level": 0, "linger.ms": 5}
    if export == "export":
        print(json.dumps(whole(variants.make(name, bootstrap), client, count)))
        return
    variant = variants.make(name, None)
    unsampled = name == "mqtrace unsampled"
    figures = {
        "produce": produce(variant, client, count),
        "poll": poll(variant, client, count, unsampled),
        "batch": batch(variant, client, count, unsampled),
        "span": calls(variant.span, count),
        "inject": calls(lambda: variant.inject({}), count),
        "extract": calls(lambda: variant.extract({"traceparent": SAMPLED.decode()}), count),
    }
    if name == "mqtrace":
        from . import mqtrace_only

        figures |= mqtrace_only.figures(bootstrap, count)
    elif name == "opentelemetry":
        from . import opentelemetry_only

        figures |= opentelemetry_only.figures(count)
    print(json.dumps(figures))


def calls(call: Callable[[], None], count: int) -> float:
    """CPU of one call."""
    for _ in range(count // 10):
        call()
    began = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - began) / count * 1e6


def produce(variant: variants.Variant, client: dict[str, Any], count: int) -> float:
    """CPU of produce and its delivery report."""
    producer = variant.producer(client)
    send(producer, "warm", count // 10)
    began = time.thread_time()
    send(producer, "produce", count)
    return (time.thread_time() - began) / count * 1e6


def send(producer: Any, topic: str, count: int) -> None:
    """What an application does: produce, look at reports now and then, flush."""
    call, look = producer.produce, producer.poll
    for number in range(count):
        call(topic, PAYLOAD)
        if not number % 100:
            look(0)
    producer.flush(60)


def fill(client: dict[str, Any], topic: str, count: int, unsampled: bool) -> None:
    """Messages with a context, from a raw client, so that every variant reads the same."""
    producer = confluent_kafka.Producer({**client, "queue.buffering.max.messages": 1_000_000})
    flags = b"02" if unsampled else b"03"
    for number in range(count):
        identity = b"00-%032x-%016x-%b" % (number + 1, number + 1, flags)
        producer.produce(topic, PAYLOAD, headers=[("traceparent", identity)])
    producer.flush(60)


def subscribed(variant: variants.Variant, client: dict[str, Any], topic: str) -> Any:
    """A consumer of everything in a topic."""
    consumer = variant.consumer(
        {
            **client,
            "group.id": f"bench-{os.getpid()}-{topic}",
            "auto.offset.reset": "earliest",
            # the embedded broker answers a fetch when this is over, whatever has come
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([topic])
    return consumer


def poll(variant: variants.Variant, client: dict[str, Any], count: int, unsampled: bool) -> float:
    """CPU of a poll that gives a message, and its decorated handler."""
    topic = f"poll-{os.getpid()}"
    fill(client, topic, count, unsampled)
    consumer = subscribed(variant, client, topic)
    handle = variant.handler(ignore)
    while consumer.poll(1.0) is None:
        pass
    time.sleep(1.0)  # the client has fetched ahead: what is measured is the call, not the wait
    seen = 1
    began = time.thread_time()
    while seen < count:
        message = consumer.poll(1.0)
        if message is not None:
            handle(message)
            seen += 1
    took = time.thread_time() - began
    consumer.close()
    return took / count * 1e6


def batch(variant: variants.Variant, client: dict[str, Any], count: int, unsampled: bool) -> float:
    """CPU of consume(100) and the batch's span, a message."""
    topic = f"batch-{os.getpid()}"
    fill(client, topic, count, unsampled)
    consumer = subscribed(variant, client, topic)
    seen = 0
    while not (first := consumer.consume(1, 1.0)):
        pass
    time.sleep(1.0)
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


def whole(variant: variants.Variant, client: dict[str, Any], count: int) -> dict[str, Any]:
    """Wall and CPU of the whole process, the export of spans running beside."""
    topic = f"whole-{os.getpid()}"
    producer = variant.producer({**client, "queue.buffering.max.messages": 1_000_000})
    send(producer, f"warm-{topic}", count // 10)
    variant.flush()
    cpu, wall = time.process_time(), time.perf_counter()
    send(producer, topic, count)
    produced = time.perf_counter() - wall
    consumer = subscribed(variant, client, topic)
    handle = variant.handler(ignore)
    wall = 0.0
    seen = 0
    while seen < count:
        message = consumer.poll(1.0)
        if message is not None:
            wall = wall or time.perf_counter()
            handle(message)
            seen += 1
    consumed = time.perf_counter() - wall
    stats = variant.flush()
    cpu = time.process_time() - cpu
    consumer.close()
    return {
        "whole produce": produced / count * 1e6,
        "whole consume": consumed / count * 1e6,
        "everything": cpu / count * 1e6,
        "spans": stats.get("spans_exported", 0),
        "lost": sum(stats.get("spans_dropped", {}).values()),
    }


def ignore(message: Any) -> None:
    """A handler that does nothing."""


if __name__ == "__main__":
    main()
