"""The brokers that the other tests stand on do what these tests take for granted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

_HERE = Path(__file__).resolve().parent


def _read(kafka: str, topic: str, group: str, count: int, **settings: str) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "auto.offset.reset": "earliest", **settings})
    consumer.subscribe([topic])
    found: list[Message] = []
    deadline = time.monotonic() + 30
    try:
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
    finally:
        consumer.close()
    return found


def test_a_record_keeps_its_headers_in_order_null_and_bytes_alike(kafka: str, topic: str, group: str) -> None:
    headers: list[tuple[str, bytes | None]] = [("a", b"1"), ("empty", b""), ("null", None), ("a", b"\xff")]
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, value=b"v", key=b"k", headers=list(headers))
    assert producer.flush(20) == 0
    (message,) = _read(kafka, topic, group, 1)
    assert (message.key(), message.value(), message.headers()) == (b"k", b"v", headers)


def test_a_tombstone_arrives_as_one(kafka: str, topic: str, group: str) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, value=None, key=b"k")
    assert producer.flush(20) == 0
    (message,) = _read(kafka, topic, group, 1)
    assert message.value() is None


def test_a_delivery_report_says_partition_and_offset(kafka: str, topic: str) -> None:
    reports: list[tuple[int | None, int | None]] = []
    producer = Producer({"bootstrap.servers": kafka})
    for _ in range(2):
        producer.produce(
            topic, b"v", partition=0, on_delivery=lambda _error, m: reports.append((m.partition(), m.offset()))
        )
    assert producer.flush(20) == 0
    assert reports == [(0, 0), (0, 1)]


def test_a_group_goes_on_where_it_committed(kafka: str, topic: str, group: str) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(3):
        producer.produce(topic, str(number).encode(), partition=0)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    consumer.close()
    assert [message.value() for message in _read(kafka, topic, group, 1)] == [b"2"]


def test_a_transaction_arrives_when_it_is_committed(kafka: str, topic: str, group: str) -> None:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"t-{group}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"kept")
    producer.commit_transaction(30)
    assert [message.value() for message in _read(kafka, topic, group, 1)] == [b"kept"]


@pytest.mark.real_only(reason="the embedded broker hides nothing from a read_committed reader")
def test_an_aborted_transaction_is_not_read(kafka: str, topic: str, group: str) -> None:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"t-{group}"})
    producer.init_transactions(30)
    for value in (b"aborted", b"kept"):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(20)
        producer.abort_transaction(30) if value == b"aborted" else producer.commit_transaction(30)
    assert [message.value() for message in _read(kafka, topic, group, 1)] == [b"kept"]


def test_topics_are_new_for_every_test(kafka: str, topic: str, make_topic: Callable[..., str]) -> None:
    assert len({topic, make_topic(kafka), make_topic(kafka)}) == 3


@pytest.mark.real_only(reason="the embedded broker chooses the number of partitions")
def test_a_topic_has_the_partitions_it_was_asked_for(kafka: str, make_topic: Callable[..., str]) -> None:
    name = make_topic(kafka, partitions=3)
    assert len(Producer({"bootstrap.servers": kafka}).list_topics(name, timeout=20).topics[name].partitions) == 3


@pytest.mark.embedded_only(reason="a real broker is a process of its own")
def test_the_embedded_broker_is_on_this_machine_only(kafka: str) -> None:
    host, _, port = kafka.rpartition(":")
    assert host == "127.0.0.1"
    socket.create_connection((host, int(port)), timeout=5).close()


def test_rabbitmq_takes_a_message_and_gives_it_back(rabbitmq_url: str) -> None:
    pika = pytest.importorskip("pika")
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"body", pika.BasicProperties(headers={"traceparent": "t"}))
    deadline = time.monotonic() + 10
    body = None
    while body is None and time.monotonic() < deadline:
        _method, properties, body = channel.basic_get(queue, auto_ack=True)
    connection.close()
    assert (body, properties.headers) == (b"body", {"traceparent": "t"})


def test_redis_keeps_what_it_is_told(redis_url: str, group: str) -> None:
    redis = pytest.importorskip("redis")
    client = redis.Redis.from_url(redis_url)
    client.set(group, "value", ex=60)
    assert client.get(group) == b"value"
    client.close()


# How a broker is found: the conftest file of this folder where there is no compose/ and no Docker.

_USES_ALL = """
def test_embedded_and_real(kafka, topic): pass
def test_rabbitmq(rabbitmq_url): pass
def test_redis(redis_url): assert redis_url == 'redis://there/0'
"""


def _run_elsewhere(tmp_path: Path, **environment: str) -> tuple[int, str]:
    broker = tmp_path / "tests" / "broker"
    broker.mkdir(parents=True)
    for file in ("conftest.py", "secure_kafka.py"):
        shutil.copy(_HERE / file, broker)
    (broker / "test_it.py").write_text(_USES_ALL, encoding="utf-8")
    unset = {"KAFKA_BOOTSTRAP", "RABBITMQ_URL", "REDIS_URL", "CI", "DOCKER_HOST"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--import-mode=importlib", "-ra", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**kept, "DOCKER_HOST": f"unix://{tmp_path}/no.sock", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_without_a_broker_the_tests_are_skipped_and_say_why(tmp_path: Path) -> None:
    code, output = _run_elsewhere(tmp_path, REDIS_URL="redis://there/0")
    assert code == 0
    assert "2 passed, 2 skipped" in output
    assert "no kafka: KAFKA_BOOTSTRAP is not set; there is no compose/up beside these tests; no Docker" in output


def test_without_a_broker_the_tests_fail_where_ci_is_set(tmp_path: Path) -> None:
    code, output = _run_elsewhere(tmp_path, REDIS_URL="redis://there/0", CI="true")
    assert code == 1
    assert "2 passed, 2 errors" in output
