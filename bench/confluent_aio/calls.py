"""What a message costs with confluent_kafka.aio: its send until its report is there, and its turn in a loop.

The bare client gathers messages and hands them to librdkafka in a thread of its executor; a message with a context goes
out from the loop's thread. So a send is told twice: of that thread, and of the whole process. OpenTelemetry's
instrumentation of confluent-kafka knows none of the two classes, so there is only the bare client to compare with.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Producer, TopicPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer

import mqtrace
from bench.alternate import Slice, alternate
from bench.tracing import configure, traceparent

__all__ = ["figures"]

#: As many as the client gathers before it hands them over by itself; two spans a message: see bench/tracing.py.
_SLICE: Final = 200
_BODY: Final = b"x" * 100


def figures(variant: str, servers: str, count: int) -> dict[str, float]:
    """CPU of a send and its report, and of a message that is handled. ``count``: four times the messages."""
    if variant == "opentelemetry":
        return {}
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    flush = configure(variant)
    pairs = max(4, count // 4 // _SLICE)
    topic = f"bench-confluent-aio-{os.getpid()}"
    _fill(servers, topic, variant, (pairs + 2) * _SLICE)
    clients: list[Any] = []
    bare = run(_slice(run, clients, servers, topic, lambda client: client, lambda handler: handler))
    if variant.startswith("mqtrace"):
        ours = run(_slice(run, clients, servers, topic, mqtrace.wrap, mqtrace.consumer))
    else:
        ours = run(_slice(run, clients, servers, topic, lambda client: client, lambda handler: handler))
    found = alternate(bare, ours, flush, pairs)
    for client in clients:
        run(client.close())
    loop.close()
    return found


def _fill(servers: str, topic: str, variant: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": servers, "log_level": 0, "queue.buffering.max.messages": count + 1})
    for number in range(count):
        producer.produce(topic, _BODY, partition=0, headers={"traceparent": traceparent(number, variant)})
    producer.flush()


async def _ignore(message: Any) -> None:
    """A handler that does nothing."""


async def _slice(
    run: Callable[[Awaitable[Any]], Any],
    clients: list[Any],
    servers: str,
    topic: str,
    wrap: Callable[[Any], Any],
    decorate: Callable[[Any], Any],
) -> Slice:
    settings = {"bootstrap.servers": servers, "log_level": 0}
    producer = wrap(AIOProducer(settings, batch_size=_SLICE))
    consumer = wrap(AIOConsumer({**settings, "group.id": topic, "auto.offset.reset": "earliest"}))
    clients += [producer, consumer]
    await consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    handle = decorate(_ignore)
    sink = f"{topic}-sent"

    async def send() -> None:
        await asyncio.gather(*[await producer.produce(sink, _BODY, partition=0) for _ in range(_SLICE)])

    async def take(messages: list[Any]) -> None:
        for message in messages:
            await handle(message)

    def measure() -> dict[str, float]:
        began, all_began = time.thread_time(), time.process_time()
        run(send())
        sent, all_sent = time.thread_time() - began, time.process_time() - all_began
        messages = run(consumer.consume(_SLICE, 10))
        began = time.thread_time()
        run(take(messages))
        taken = time.thread_time() - began
        return {
            "confluent-aio send": sent / _SLICE * 1e6,
            "confluent-aio send, all threads": all_sent / _SLICE * 1e6,
            "confluent-aio handle": taken / max(1, len(messages)) * 1e6,
        }

    return measure
