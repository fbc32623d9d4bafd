"""What a send costs the loop's thread until its future is done, without the socket.

The client is a real one that knows its topic's partitions. Then its sender is stopped, and the batches are taken from
it and reported as delivered by hand, as it does that. So all of aiokafka's ``send`` runs, and each future's callbacks.
How many messages a batch holds, and so what a header costs on the wire, is left to calls.py. All variants alike.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types

import mqtrace
from bench.alternate import alternate
from bench.tracing import configure, traceparent

from .calls import instrumented

__all__ = ["figures"]

_SLICE: Final = 250
_BODY: Final = b"x" * 100
_FIGURE: Final = "aiokafka no socket send"
_Headers = list[tuple[str, bytes]] | None


def figures(variant: str, servers: str, count: int) -> dict[str, float]:
    """CPU of a send and its report, and what a header adds to it. ``count``: four times the messages."""
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    flush = configure(variant)
    pairs = max(4, count // 4 // _SLICE)
    topic = f"bench-aiokafka-{os.getpid()}"
    plain, traced = run(_producer(servers, topic)), run(_producer(servers, topic))
    given = mqtrace.wrap(traced) if variant.startswith("mqtrace") else traced
    header: _Headers = [("traceparent", traceparent(1, variant).encode())]

    def slice_of(client: Any, raw: Any, headers: _Headers, on: bool) -> Callable[[], dict[str, float]]:
        def measure() -> dict[str, float]:
            instrumented(variant, on)
            began = time.thread_time()
            run(_send(client, raw, topic, headers))
            return {_FIGURE: (time.thread_time() - began) / _SLICE * 1e6}

        return measure

    bare = slice_of(plain, plain, None, False)
    found = alternate(bare, slice_of(given, traced, None, True), flush, pairs)
    own = alternate(bare, slice_of(plain, plain, header, False), flush, pairs)
    for client in (plain, traced):
        run(_stop(client))
    loop.close()
    return found | {f"aiokafka no socket header{added}": own[f"{_FIGURE}{added}"] for added in ("", " added")}


async def _producer(servers: str, topic: str) -> Any:
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_batch_size=10_000_000)
    await producer.start()
    await producer.partitions_for(topic)
    task = producer._sender._sender_task  # it stands for the broker, and there is no other way in
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return producer


async def _send(client: Any, raw: Any, topic: str, headers: _Headers) -> None:
    if headers is None:
        waiting = [await client.send(topic, _BODY, partition=0) for _ in range(_SLICE)]
    else:
        waiting = [await client.send(topic, _BODY, partition=0, headers=headers) for _ in range(_SLICE)]
    by_node, _ = raw._message_accumulator.drain_by_nodes(ignore_nodes=())  # as above
    for batches in by_node.values():
        for batch in batches.values():
            batch.done(0, -1)
    for future in waiting:
        await future


async def _stop(producer: Any) -> None:
    with suppress(asyncio.CancelledError):  # of the sender's task
        await producer.stop()
