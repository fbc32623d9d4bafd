"""A request that goes on through Kafka: the front answers at once, a worker charges the card. One trace.

python -m examples.kafka_order
"""

from __future__ import annotations

import time
from typing import Any

import confluent_kafka

import mqtrace
from examples.broker import bootstrap

TOPIC = f"orders-{time.time_ns()}"


def front(servers: str, request_headers: dict[str, str]) -> None:
    """Take a request and put an order on the topic."""
    tracer = mqtrace.Tracer("front")
    producer = tracer.wrap(confluent_kafka.Producer({"bootstrap.servers": servers}))
    with tracer.start_span("POST /order", kind="server", parent=tracer.extract(request_headers)):
        producer.produce(TOPIC, b"one pizza", key=b"ann")
    producer.flush(10)
    tracer.shutdown()


def worker(servers: str) -> None:
    """Handle orders until one has come."""
    tracer = mqtrace.Tracer("worker")
    charged: list[bytes] = []

    @tracer.consumer
    def handle(message: Any) -> None:
        with tracer.start_span("charge card", attributes={"order.bytes": len(message.value())}):
            charged.append(message.value())

    configuration = {"bootstrap.servers": servers, "group.id": "kitchen", "auto.offset.reset": "earliest"}
    consumer = tracer.wrap(confluent_kafka.Consumer(configuration))
    consumer.subscribe([TOPIC])
    until = time.monotonic() + 30
    while not charged and time.monotonic() < until:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            handle(message)
    consumer.close()
    tracer.shutdown()
    print(f"charged for {charged}")


def main() -> None:
    """Both, one after the other; the headers are those of a request in somebody else's trace."""
    servers = bootstrap()
    front(servers, {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    worker(servers)


if __name__ == "__main__":
    main()
