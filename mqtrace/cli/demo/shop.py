"""A small shop on Kafka, traced: what services of one's own look like with mqtrace.

Three services, each a process of its own. The front takes orders, payments charges them and says so on a second topic,
shipping packs what was paid, many at a time. Some orders are refused, some are withdrawn, which on Kafka is a message
without a value (a tombstone). Payments also has an asyncio service write to the customer, see notices.py, and a Celery
worker send a receipt, see receipts.py. ``stage`` is the demo's: addresses, and when to stop.

One line makes the tracer, one wraps each client, one decorates a handler: the context of a trace then rides in the
messages' headers from process to process, and the spans of all of them leave on a Kafka topic. Where OpenTelemetry's
SDK is installed, the front's requests are its spans, in the same traces: requests.py.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

from confluent_kafka import Consumer, Message, Producer

import mqtrace

from .requests import opentelemetry_requests
from .stage import Stage, work


def is_left(number: int) -> bool:
    """Orders that payments passes over on purpose, as a faulty filter would: ``mqtrace missing`` finds them."""
    return number % 40 == 16


class PaymentRefused(Exception):
    """The bank said no."""


def celery_app(stage: Stage) -> Any:
    """The app whose worker sends the receipts (receipts.py); None if Celery is not installed."""
    if "receipts" not in stage.options:
        return None
    from .receipts import make_app

    app = make_app(stage.options["receipts"])
    mqtrace.instrument_celery(app)
    return app


def front(stage: Stage) -> None:
    """Takes orders over HTTP, as it were, and passes them on."""
    tracer = mqtrace.configure("front", sampler=1.0, exporter=stage.exporter)
    producer = mqtrace.wrap(Producer({"bootstrap.servers": stage.bootstrap, "linger.ms": 1}))
    # A web framework whose requests OpenTelemetry traces, where it is installed; spans of one's own otherwise.
    request = opentelemetry_requests(stage) or partial(tracer.start_span, kind="server")

    for number in range(stage.orders):
        withdrawn = number % 10 == 7
        with request("DELETE /order" if withdrawn else "POST /order") as span:
            span.set_attribute("shop.order", number)
            span.set_attribute("shop.left_on_purpose", is_left(number))
            amount = 990 if number % 10 == 3 else 20 + number % 50
            order = None if withdrawn else json.dumps({"order": number, "amount": amount})
            producer.produce(stage.topic("orders"), key=f"order-{number}", value=order)
            stage.sent("payments")
        next_order = time.monotonic() + min(0.01, 1.5 / stage.orders)
        while (pause := next_order - time.monotonic()) > 0:
            producer.poll(pause)  # serves the delivery reports, which end the send spans
    producer.flush()


def payments(stage: Stage) -> None:
    """Charges orders one by one."""
    tracer = mqtrace.configure("payments", sampler=1.0, exporter=stage.exporter)
    consumer = mqtrace.wrap(Consumer(stage.group("payments")))
    producer = mqtrace.wrap(Producer({"bootstrap.servers": stage.bootstrap, "linger.ms": 1}))
    receipts = celery_app(stage)

    @mqtrace.consumer
    def charge(message: Message) -> None:
        value = message.value()
        if value is None:
            with tracer.start_span("release stock"):
                time.sleep(0.001)
            return
        order = json.loads(value)
        with tracer.start_span("charge card", kind="client", attributes={"shop.amount": order["amount"]}):
            time.sleep(0.002)
            if order["amount"] > 900:
                raise PaymentRefused(f"{order['amount']} is over the card's limit")
        producer.produce(stage.topic("payments"), key=message.key(), value=value)
        stage.sent("shipping")
        if "notices" in stage.options:
            producer.produce(stage.topic(stage.options["notices"]), key=message.key(), value=value)
            stage.sent("notices")
        if receipts is not None:
            receipts.send_task("shop.receipt", [order["order"]])
            stage.sent("receipts")

    consumer.subscribe([stage.topic("orders")], on_assign=stage.ready)
    while stage.running:
        message = consumer.poll(0.01)
        producer.poll(0)
        if message is None or message.error():
            continue
        if is_left(int((message.key() or b"-0").rpartition(b"-")[2])):
            stage.received()
            continue
        try:
            charge(message)
        except PaymentRefused:
            pass  # the customer is told; the next order is waiting
        stage.received()
    producer.flush()
    consumer.close()


def shipping(stage: Stage) -> None:
    """Packs what was paid, a batch at a time."""
    tracer = mqtrace.configure("shipping", sampler=1.0, exporter=stage.exporter)
    consumer = mqtrace.wrap(Consumer(stage.group("shipping")))

    consumer.subscribe([stage.topic("payments")], on_assign=stage.ready)
    while stage.running:
        messages = [message for message in consumer.consume(8, timeout=0.08) if not message.error()]
        if not messages:
            continue
        with mqtrace.batch(messages):
            with tracer.start_span("pack parcels", attributes={"shop.parcels": len(messages)}):
                time.sleep(0.0005 * len(messages))
        stage.received(len(messages))
    consumer.close()


if __name__ == "__main__":
    work({"front": front, "payments": payments, "shipping": shipping})
