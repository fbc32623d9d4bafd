"""A wrapped consumer: the client it was, and process spans that know its group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, DeserializingConsumer, Producer, TopicPartition

import mqtrace
from mqtrace.testing import Spans, record


@pytest.fixture
def topic(cluster: str) -> str:
    name = f"topic-{time.time_ns()}"
    producer = Producer({"bootstrap.servers": cluster, "log_level": 0})
    for number in range(3):
        producer.produce(
            name, str(number).encode(), headers={"traceparent": f"00-{number + 1:032x}-{'b2' * 8}-03".encode()}
        )
    producer.flush(10)
    return name


@pytest.fixture
def configuration(cluster: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": cluster,
        "group.id": f"kitchen-{time.time_ns()}",
        "client.id": "cook",
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }


@pytest.fixture
def made() -> Iterator[Callable[[Any], Any]]:
    """``made(consumer)``: closes it after the test."""
    consumers: list[Any] = []

    def keep(consumer: Any) -> Any:
        consumers.append(consumer)
        return consumer

    yield keep
    for consumer in consumers:
        consumer.close()


def poll(consumer: Any, count: int) -> list[Any]:
    found: list[Any] = []
    until = time.monotonic() + 15
    while len(found) < count and time.monotonic() < until:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message)
    assert len(found) == count
    return found


@pytest.mark.parametrize("form", ["class", "instance"])
def test_a_process_span_knows_the_group(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans, form: str
) -> None:
    consumer = made(mqtrace.wrap(Consumer)(configuration) if form == "class" else mqtrace.wrap(Consumer(configuration)))
    consumer.subscribe([topic])
    for message in mqtrace.each(poll(consumer, 3)):
        assert mqtrace.current_span().trace_id == message.headers()[0][1][3:35].decode()
    assert [span.attributes["messaging.consumer.group.name"] for span in spans] == [configuration["group.id"]] * 3
    if form == "class":
        assert spans[0].attributes["messaging.client.id"] == "cook"
        assert spans[0].attributes["server.address"] == "127.0.0.1"


def test_a_topic_that_two_groups_read_in_one_process_has_each_its_own(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans
) -> None:
    @mqtrace.consumer
    def handle(message: Any) -> None: ...

    one = made(mqtrace.wrap(Consumer)(configuration))
    one.subscribe([topic])
    handle(poll(one, 1)[0])
    two = made(mqtrace.wrap(Consumer)({**configuration, "group.id": "other"}))
    two.assign([TopicPartition(topic, number, 0) for number in range(4)])
    handle(poll(two, 1)[0])
    handle(poll(one, 1)[0])
    for message in two.consume(1, 10):
        handle(message)
    groups = [span.attributes.get("messaging.consumer.group.name") for span in spans]
    assert groups == [configuration["group.id"], "other", configuration["group.id"], "other"]


def test_poll_is_the_clients_own(configuration: dict[str, Any], topic: str, made: Any, spans: Spans) -> None:
    """FAULTS 8 and 14: an empty poll makes nothing and leaves nothing."""
    raw = made(Consumer(configuration))
    consumer = mqtrace.wrap(raw)
    assert consumer.poll == raw.poll
    assert consumer.consume == raw.consume
    consumer.subscribe([topic])
    for _ in range(20):
        consumer.poll(0)
    assert mqtrace.current_span().trace_id == "0" * 32
    assert not spans


def test_it_has_every_attribute_of_the_client(configuration: dict[str, Any], made: Any, topic: str) -> None:
    """FAULTS 5."""
    raw = made(Consumer(configuration))
    consumer = mqtrace.wrap(raw)
    for name in dir(raw):
        assert hasattr(consumer, name)
    assert isinstance(consumer, Consumer)
    consumer.subscribe([topic], on_assign=lambda consumer, partitions: None)
    poll(consumer, 1)
    assignment = consumer.assignment()
    assert assignment
    consumer.pause(assignment)
    consumer.resume(assignment)
    consumer.commit(asynchronous=False)
    assert consumer.committed(assignment, timeout=5)
    assert mqtrace.unwrap(consumer) is raw
    other = mqtrace.wrap(Consumer(configuration))
    other.close()
    with pytest.raises(RuntimeError):
        other.poll(0)


def test_a_deserializing_consumer_gives_what_it_gave(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans
) -> None:
    options = {**configuration, "value.deserializer": lambda value, context: int(value)}
    consumer = made(mqtrace.wrap(DeserializingConsumer)(options))
    consumer.subscribe([topic])
    messages = poll(consumer, 3)
    assert sorted(message.value() for message in messages) == [0, 1, 2]
    with mqtrace.process(messages[0]) as span:
        pass
    assert span.attributes["messaging.consumer.group.name"] == configuration["group.id"]


def test_receive_and_settle_spans_are_made_on_request(configuration: dict[str, Any], topic: str, made: Any) -> None:
    with record("shop", receive_spans=True, settle_spans=True) as spans:
        consumer = made(mqtrace.wrap(Consumer)(configuration))
        consumer.subscribe([topic])
        messages = poll(consumer, 3)
        consumer.commit(asynchronous=False)
        consumer.poll(0)
    assert [(span.name, span.kind) for span in spans] == [(f"poll {topic}", "client")] * 3 + [("commit", "client")]
    assert spans[0].attributes["messaging.operation.type"] == "receive"
    assert spans[3].attributes["messaging.operation.type"] == "settle"
    assert [span.links[0].context.trace_id for span in spans[:3]] == [
        message.headers()[0][1][3:35].decode() for message in messages
    ]
    with record("shop") as plain:
        consumer.poll(0)
    assert consumer.poll == mqtrace.unwrap(consumer).poll
    assert not plain


def test_a_pattern_tells_the_topic_too(configuration: dict[str, Any], topic: str, made: Any, spans: Spans) -> None:
    consumer = made(mqtrace.wrap(Consumer)(configuration))
    consumer.subscribe([f"^{topic[:-3]}.*"])
    with mqtrace.process(poll(consumer, 1)[0]) as span:
        pass
    assert span.attributes["messaging.consumer.group.name"] == configuration["group.id"]
