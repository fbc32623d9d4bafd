"""An asyncio application: messages are handled side by side, and their contexts never mix.

The client blocks, so it polls in a thread; a coroutine handles each message in a task of its own.

    python -m examples.asyncio_app
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import confluent_kafka

import mqtrace
from examples.broker import bootstrap

TOPIC = f"orders-{time.time_ns()}"
COUNT = 10


@mqtrace.consumer
async def handle(message: Any) -> tuple[str, str]:
    """What is current before and after a wait is the same message's span."""
    before = mqtrace.current_span().span_id
    await asyncio.sleep(0.01)
    return before, mqtrace.current_span().span_id


async def run(servers: str) -> None:
    """Poll in a thread, handle in tasks."""
    consumer = mqtrace.wrap(confluent_kafka.Consumer)(
        {"bootstrap.servers": servers, "group.id": "asyncio", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TOPIC])
    tasks: list[asyncio.Task[tuple[str, str]]] = []
    until = time.monotonic() + 30
    while len(tasks) < COUNT and time.monotonic() < until:
        message = await asyncio.to_thread(consumer.poll, 0.5)
        if message is not None and message.error() is None:
            tasks.append(asyncio.create_task(handle(message)))
    seen = await asyncio.gather(*tasks)
    await asyncio.to_thread(consumer.close)
    assert all(before == after for before, after in seen)
    print(f"handled {len(seen)} messages in {len(set(seen))} spans")


def main() -> None:
    """Send, and handle."""
    servers = bootstrap()
    mqtrace.configure("asyncio")
    producer = mqtrace.wrap(confluent_kafka.Producer)({"bootstrap.servers": servers})
    for number in range(COUNT):
        producer.produce(TOPIC, str(number).encode())
    producer.flush(10)
    asyncio.run(run(servers))
    mqtrace.shutdown()


if __name__ == "__main__":
    main()
