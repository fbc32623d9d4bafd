"""Consume, transform, produce, exactly once: the wrapped clients take part in transactions as the bare ones do.

python -m examples.transaction
"""

from __future__ import annotations

import time

import confluent_kafka

import mqtrace
from examples.broker import bootstrap

RUN = time.time_ns()
ORDERS, INVOICES = f"orders-{RUN}", f"invoices-{RUN}"
COUNT = 5


def main() -> None:
    """Turn orders into invoices."""
    servers = bootstrap()
    mqtrace.configure("billing")
    source = mqtrace.wrap(confluent_kafka.Producer)({"bootstrap.servers": servers})
    for number in range(COUNT):
        source.produce(ORDERS, str(number).encode())
    source.flush(10)

    consumer = mqtrace.wrap(confluent_kafka.Consumer)(
        {
            "bootstrap.servers": servers,
            "group.id": f"billing-{RUN}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([ORDERS])
    producer = mqtrace.wrap(confluent_kafka.Producer)(
        {"bootstrap.servers": servers, "transactional.id": f"billing-{RUN}"}
    )
    producer.init_transactions(30)
    done = 0
    until = time.monotonic() + 30
    while done < COUNT and time.monotonic() < until:
        messages = [message for message in consumer.consume(COUNT, 1.0) if message.error() is None]
        if not messages:
            continue
        producer.begin_transaction()
        for message in mqtrace.each(messages):
            producer.produce(INVOICES, b"invoice for " + (message.value() or b""))
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
        producer.commit_transaction(30)
        done += len(messages)
    consumer.close()
    mqtrace.shutdown()
    print(f"wrote {done} invoices")


if __name__ == "__main__":
    main()
