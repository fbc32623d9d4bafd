"""A trace that goes Kafka -> Celery -> RabbitMQ -> Kafka is one trace: real brokers, and a process for every step.

Nothing is handed from process to process but messages, and the spans of all of them land in one file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mqtrace

_STEPS = {
    "web": """
        from confluent_kafka import Producer
        producer = mqtrace.wrap(Producer({"bootstrap.servers": os.environ["KAFKA"]}))
        baggage = mqtrace.Context().with_baggage(tenant="acme")
        with mqtrace.use(baggage), tracer.start_span("POST /orders", kind="server"):
            for number in range(3):
                producer.produce(os.environ["ORDERS"], str(number).encode(), key=b"k")
        assert producer.flush(20) == 0
    """,
    "orders": """
        from confluent_kafka import Consumer
        import work

        @mqtrace.consumer
        def handle(message):
            work.charge.delay(message.value().decode())

        settings = {"group.id": os.environ["ORDERS"], "auto.offset.reset": "earliest"}
        consumer = mqtrace.wrap(Consumer({"bootstrap.servers": os.environ["KAFKA"], **settings}))
        consumer.subscribe([os.environ["ORDERS"]])
        handled = 0
        while handled < 3:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                handle(message)
                handled += 1
        consumer.close()
    """,
    "shipping": """
        import pika
        from confluent_kafka import Producer

        producer = mqtrace.wrap(Producer({"bootstrap.servers": os.environ["KAFKA"]}))
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ"]))
        channel = mqtrace.wrap(connection.channel())
        channel.queue_declare(os.environ["PARCELS"])
        handled = []

        def handle(channel, method, properties, body):
            producer.produce(os.environ["SHIPPED"], body)
            channel.basic_ack(method.delivery_tag)
            handled.append(body)
            if len(handled) == 3:
                channel.stop_consuming()

        channel.basic_consume(os.environ["PARCELS"], handle)
        channel.start_consuming()
        channel.queue_delete(os.environ["PARCELS"])
        connection.close()
        assert producer.flush(20) == 0
    """,
    "mail": """
        from confluent_kafka import Consumer

        @mqtrace.consumer
        def handle(message):
            span = mqtrace.current_span()
            span.set_attribute("order", message.value().decode())
            span.set_attribute("tenant", span.baggage["tenant"])

        settings = {"group.id": os.environ["SHIPPED"], "auto.offset.reset": "earliest"}
        consumer = mqtrace.wrap(Consumer({"bootstrap.servers": os.environ["KAFKA"], **settings}))
        consumer.subscribe([os.environ["SHIPPED"]])
        handled = 0
        while handled < 3:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                handle(message)
                handled += 1
        consumer.close()
    """,
}

_BEGIN = """
import os
import mqtrace

tracer = mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
"""

_WORK = """
import os
import mqtrace
import pika
from celery import Celery

if "celery" in os.environ["SERVICE"]:
    mqtrace.configure("celery", exporter="file://" + os.environ["SPANS"])
mqtrace.instrument_celery()
app = Celery("work", broker=os.environ["REDIS"])
app.conf.update(task_default_queue=os.environ["CHARGES"], task_ignore_result=True)


@app.task(name="work.charge")
def charge(order):
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ"]))
    channel = mqtrace.wrap(connection.channel())
    channel.queue_declare(os.environ["PARCELS"])
    channel.basic_publish("", os.environ["PARCELS"], order.encode())
    connection.close()
"""

#: The spans of one order, from its root down, by service and name.
_COURSE = [
    ("web", "POST /orders"),
    ("web", "send ORDERS"),
    ("orders", "process ORDERS"),
    ("orders", "send work.charge"),
    ("celery", "process work.charge"),
    ("celery", "send PARCELS"),
    ("shipping", "process PARCELS"),
    ("shipping", "send SHIPPED"),
    ("mail", "process SHIPPED"),
]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.mark.real_only("the processes meet on one broker")
def test_kafka_celery_rabbitmq_kafka_is_one_trace(
    tmp_path: Path,
    kafka: str,
    make_topic: Callable[..., str],
    redis_url: str,
    rabbitmq_url: str,
    processes: list[subprocess.Popen[str]],
) -> None:
    (tmp_path / "work.py").write_text(_WORK, encoding="utf-8")
    names = {
        "ORDERS": make_topic(kafka),
        "SHIPPED": make_topic(kafka),
        "PARCELS": f"parcels-{uuid.uuid4().hex[:8]}",
        "CHARGES": f"charges-{uuid.uuid4().hex[:8]}",
    }
    spans = tmp_path / "spans.jsonl"
    environment = {
        **os.environ,
        **names,
        "KAFKA": kafka,
        "REDIS": redis_url,
        "RABBITMQ": rabbitmq_url,
        "SPANS": str(spans),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(mqtrace.__file__).parents[1])]),
    }

    def start(service: str, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**environment, "SERVICE": service},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    worker = start("celery", *("-m", "celery", "-A", "work", "worker", "-c", "2", "-l", "ERROR"))
    steps = [start(name, "-c", _BEGIN + _unindented(code)) for name, code in _STEPS.items()]
    for step in steps:
        _, errors = step.communicate(timeout=90)
        assert step.returncode == 0, errors
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    found = _read(spans)
    above = {span["spanId"]: span for span in found}
    lasts = [span for span in found if "order" in span["attributes"]]
    assert sorted(span["attributes"]["order"] for span in lasts) == ["0", "1", "2"]
    assert {span["attributes"]["tenant"] for span in lasts} == {"acme"}
    for last in lasts:
        course = []
        span: dict[str, Any] | None = last
        while span is not None:
            course.append((span["service"], span["name"]))
            span = above.get(span.get("parentSpanId", ""))
        assert course[::-1] == [(service, _named(name, names)) for service, name in _COURSE]
    assert len({span["traceId"] for span in found}) == 1
    assert len(found) == 1 + 3 * (len(_COURSE) - 1)
    assert not [span for span in found if span.get("status", {}).get("code") == 2]


def _unindented(code: str) -> str:
    return "\n".join(line[8:] for line in code.splitlines())


def _named(name: str, names: dict[str, str]) -> str:
    verb, _, destination = name.partition(" ")
    return f"{verb} {names.get(destination, destination)}"


def _read(file: Path) -> list[dict[str, Any]]:
    """Every span, with its attributes as a dict and the name of its service."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            of_resource = {each["key"]: each["value"] for each in resource["resource"]["attributes"]}
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    span["service"] = of_resource["service.name"]["stringValue"]
                    span["attributes"] = {
                        each["key"]: next(iter(each["value"].values())) for each in span.get("attributes", ())
                    }
                    found.append(span)
    return found
