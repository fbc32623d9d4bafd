"""A consumer of batches: one span a batch, with a link to the trace of every message in it.

python -m examples.batch_consumer
"""

from __future__ import annotations

import time

import confluent_kafka

import mqtrace
from examples.broker import bootstrap

TOPIC = f"parcels-{time.time_ns()}"
COUNT = 20


def main() -> None:
    """Send parcels, each in a trace of its own, and ship them in batches."""
    servers = bootstrap()
    mqtrace.configure("shipping")
    producer = mqtrace.wrap(confluent_kafka.Producer)({"bootstrap.servers": servers})
    for number in range(COUNT):
        producer.produce(TOPIC, str(number).encode())
    producer.flush(10)

    consumer = mqtrace.wrap(confluent_kafka.Consumer)(
        {"bootstrap.servers": servers, "group.id": "shipping", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TOPIC])
    shipped = 0
    until = time.monotonic() + 30
    while shipped < COUNT and time.monotonic() < until:
        messages = consumer.consume(10, 1.0)
        with mqtrace.batch(messages) as span:  # an empty one makes no span
            parcels = [message.value() for message in messages if message.error() is None]
            span.set_attribute("parcels", len(parcels))
            shipped += len(parcels)
    consumer.close()
    mqtrace.shutdown()
    print(f"shipped {shipped} parcels")


if __name__ == "__main__":
    main()
