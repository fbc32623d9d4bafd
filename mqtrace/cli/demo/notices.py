"""The shop's notices: an asyncio service on Kafka that writes to several customers at a time, traced.

A task a message, each in the process span of its own: tasks side by side do not mix their traces.
"""

from __future__ import annotations

import asyncio
import json

from aiokafka import AIOKafkaConsumer, ConsumerRecord  # type: ignore[import-untyped]  # aiokafka ships no types

import mqtrace

from .stage import Stage, work

__all__: list[str] = []


async def run(stage: Stage) -> None:
    """Writes to the customers whose orders were paid."""
    tracer = mqtrace.configure("notices", sampler=1.0, exporter=stage.exporter)
    consumer = mqtrace.wrap(
        AIOKafkaConsumer(
            stage.topic(stage.options["notices"]),
            bootstrap_servers=stage.bootstrap,
            group_id=stage.topic("notices"),
            auto_offset_reset="earliest",
            fetch_max_wait_ms=10,  # see Stage.group
        )
    )

    @mqtrace.consumer
    async def write(record: ConsumerRecord) -> None:
        order = json.loads(record.value or b"null")  # never empty: no such notice is sent
        with tracer.start_span("write to the customer", attributes={"shop.order": order["order"]}):
            await asyncio.sleep(0.002)
        stage.received()

    async with consumer:  # which waits for its partitions
        stage.ready()
        while stage.running:
            records = await consumer.getmany(timeout_ms=50)
            async with asyncio.TaskGroup() as writing:
                for of_partition in records.values():
                    for record in of_partition:
                        writing.create_task(write(record))


def notices(stage: Stage) -> None:
    """The service's process."""
    asyncio.run(run(stage))


if __name__ == "__main__":
    work({"notices": notices})
