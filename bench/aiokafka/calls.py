"""What a message costs the loop's thread with aiokafka: its send until its report is there, and its turn in a loop.

The client does all its work on that thread, batches and sockets included, so what is added shows in slices, bare and
traced in turn.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]  # it has no types

import mqtrace
from bench.alternate import Slice, alternate
from bench.tracing import configure, traceparent

__all__ = ["figures", "instrumented"]

#: Two spans a message, and the worker of neither variant may wake within: see bench/tracing.py.
_SLICE: Final = 250
_BODY: Final = b"x" * 100
_Run = Callable[[Coroutine[Any, Any, Any]], Any]


def figures(variant: str, servers: str, count: int) -> dict[str, float]:
    """CPU of a send and its report, and of a record that is handled. ``count``: four times the messages."""
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    flush = configure(variant)
    pairs = max(4, count // 4 // _SLICE)
    topic = f"bench-aiokafka-{os.getpid()}"
    clients: list[Any] = []
    run(_fill(servers, topic, variant, (pairs + 2) * _SLICE))
    bare = run(_slice(run, clients, servers, topic, partial(instrumented, variant, False), _Bare()))
    ours = run(_slice(run, clients, servers, topic, partial(instrumented, variant, True), _way(variant)))
    found = alternate(bare, ours, flush, pairs)
    for client in clients:
        run(client.stop())
    loop.close()
    return found


async def _fill(servers: str, topic: str, variant: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    headers = [[("traceparent", traceparent(number, variant).encode())] for number in range(count)]
    await asyncio.gather(*[await producer.send(topic, _BODY, partition=0, headers=own) for own in headers])
    await producer.stop()


class _Bare:
    """The clients and a handler as they are."""

    def wrap(self, client: Any) -> Any:
        return client

    def handler(self, function: Any) -> Any:
        return function


class _Mqtrace:
    """As docs/aiokafka.md says."""

    def wrap(self, client: Any) -> Any:
        return mqtrace.wrap(client)

    def handler(self, function: Any) -> Any:
        return mqtrace.consumer(function)


def _way(variant: str) -> Any:
    return _Mqtrace() if variant.startswith("mqtrace") else _Bare()


async def _ignore(record: Any) -> None:
    """A handler that does nothing."""


async def _slice(
    run: _Run, clients: list[Any], servers: str, topic: str, switch: Callable[[], None], way: Any
) -> Slice:
    producer = way.wrap(AIOKafkaProducer(bootstrap_servers=servers, linger_ms=5))
    consumer = way.wrap(AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest"))
    consumer.assign([TopicPartition(topic, 0)])
    clients += [producer, consumer]
    for client in (producer, consumer):
        await client.start()
    handle = way.handler(_ignore)
    sink = f"{topic}-sent"

    async def send() -> None:
        waiting = [await producer.send(sink, _BODY, partition=0) for _ in range(_SLICE)]
        for future in waiting:
            await future

    async def take() -> None:
        for _ in range(_SLICE):
            await handle(await consumer.getone())

    def measure() -> dict[str, float]:
        switch()
        taken = {}
        for figure, work in (("aiokafka send", send), ("aiokafka handle", take)):
            began = time.thread_time()
            run(work())
            taken[figure] = (time.thread_time() - began) / _SLICE * 1e6
        return taken

    return measure


def instrumented(variant: str, on: bool) -> None:
    """Put OpenTelemetry's instrumentation in place, or take it away: it patches the classes, so bare clients too."""
    if variant == "opentelemetry":
        from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor

        instrumentor = AIOKafkaInstrumentor()
        if on:
            instrumentor.instrument(skip_dep_check=True)
        else:
            instrumentor.uninstrument()
