"""kafka-python's producer and consumer pass the contract of clients, on a real Kafka."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # it ships no types

import mqtrace
from mqtrace.testing import ClientContract, record
from mqtrace.testing.recording import Spans


class TestKafkaPython(ClientContract):
    system = "kafka"

    @pytest.fixture(autouse=True)
    def _broker(self, kafka_bootstrap: str, make_topic: Any) -> None:
        self.bootstrap, self.make_topic = kafka_bootstrap, make_topic

    def new_destination(self) -> str:
        name: str = self.make_topic(self.bootstrap)
        return name

    def make_sender(self) -> Any:
        return KafkaProducer(bootstrap_servers=self.bootstrap)

    def make_receiver(self, destination: str) -> Any:
        return KafkaConsumer(
            destination,
            bootstrap_servers=self.bootstrap,
            group_id=destination,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=10_000,
        )

    def send(self, client: Any, destination: str, headers: Mapping[str, str] | None) -> None:
        self.send_native(client, destination, None if headers is None else self.native_headers(headers))

    def native_headers(self, headers: Mapping[str, str]) -> Any:
        return [(name, value.encode()) for name, value in headers.items()]

    def send_native(self, client: Any, destination: str, headers: Any) -> None:
        client.send(destination, b"body", headers=headers).get(10)

    def receive(self, client: Any, destination: str) -> Any:
        return next(client)

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        return dict(message.headers)


class TestKafkaPythonClasses(TestKafkaPython):
    """The same as classes, whose objects are clients."""

    def wrapped_sender(self, tracer: Any = None) -> Any:
        return mqtrace.wrap(KafkaProducer, tracer=tracer)(bootstrap_servers=self.bootstrap)

    def wrapped_receiver(self, destination: str, tracer: Any = None) -> Any:
        return mqtrace.wrap(KafkaConsumer, tracer=tracer)(
            destination,
            bootstrap_servers=self.bootstrap,
            group_id=destination,
            auto_offset_reset="earliest",
            consumer_timeout_ms=10_000,
        )


def test_wrap_may_be_told_what_the_spans_say(kafka_bootstrap: str, make_topic: Any) -> None:
    topic = make_topic(kafka_bootstrap)
    with record() as spans:
        sender = mqtrace.wrap(KafkaProducer(bootstrap_servers=kafka_bootstrap), client_id="till")
        receiver = mqtrace.wrap(
            KafkaConsumer(topic, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"),
            group_id="kitchen",
            bootstrap_servers=["kafka:9093"],
        )
        sender.send(topic, b"1").get(10)
        with mqtrace.process(next(receiver)):
            pass
        receiver.close()
        sender.close()
    sent, processed = spans
    assert sent.attributes["messaging.client.id"] == "till"
    assert processed.attributes["messaging.consumer.group.name"] == "kitchen"
    assert processed.attributes["server.address"] == "kafka"
    with pytest.raises(mqtrace.ConfigurationError, match="for kafka-python write"):
        mqtrace.wrap(KafkaProducer, topic="x")


@pytest.fixture
def producer(kafka_bootstrap: str) -> Iterator[Any]:
    made = mqtrace.wrap(KafkaProducer)(bootstrap_servers=kafka_bootstrap, client_id="orders")
    yield made
    made.close()


def _ended(spans: Spans) -> Spans:
    """The spans, once there is one: callbacks run on the client's thread, after ``get`` has returned perhaps."""
    until = time.monotonic() + 5
    while not spans and time.monotonic() < until:
        time.sleep(0.005)
    return spans


def test_a_send_span_ends_with_the_report_and_says_where_the_message_is(producer: Any, topic: str) -> None:
    with record() as spans:
        future = producer.send(topic, b"42")
        report = future.get(10)
        (span,) = _ended(spans)
    assert (span.name, span.kind) == (f"send {topic}", "producer")
    assert span.attributes["messaging.kafka.offset"] == report.offset
    assert span.attributes["messaging.destination.partition.id"] == str(report.partition)
    assert span.attributes["messaging.client.id"] == "orders"


def test_a_call_that_is_refused_fails_its_span_and_raises_the_clients_error(producer: Any, topic: str) -> None:
    with pytest.raises((TypeError, AssertionError)) as bare:  # 2.2 asserts what 3.0 says in words
        mqtrace.unwrap(producer).send(topic, b"42", headers={"mine": b"x"})
    with record() as spans:
        with pytest.raises(bare.type, match=re.escape(str(bare.value)) or None):
            producer.send(topic, b"42", headers={"mine": b"x"})
    (span,) = spans
    assert (span.status, span.attributes["error.type"]) == ("error", bare.type.__name__)


def test_a_message_without_a_value_is_a_tombstone(producer: Any, topic: str) -> None:
    with record() as spans:
        producer.send(topic, None, b"key").get(10)
        (span,) = _ended(spans)
    assert span.attributes["messaging.kafka.message.tombstone"] is True


@pytest.mark.parametrize("make", [lambda kind: kind, mqtrace.wrap], ids=["object", "class"])
def test_a_poll_and_a_commit_have_spans_where_they_are_asked_for(
    kafka_bootstrap: str, producer: Any, topic: str, make: Any
) -> None:
    for _ in range(2):
        producer.send(topic, b"42", headers=[("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")]).get(10)
    with record(receive_spans=True, settle_spans=True) as spans:
        bare = make(KafkaConsumer)(
            topic, bootstrap_servers=kafka_bootstrap, group_id=f"{topic}-{make}", auto_offset_reset="earliest"
        )
        consumer = mqtrace.wrap(bare) if make is not mqtrace.wrap else bare
        next(consumer)
        polled = consumer.poll(10_000)
        consumer.commit()
        consumer.close()
    assert [len(records) for records in polled.values()] == [1]
    assert [span.name for span in spans] == [f"poll {topic}", f"poll {topic}", "commit"]
    assert [[link.context.span_id for link in span.links] for span in spans] == [["b" * 16], ["b" * 16], []]
    assert "messaging.batch.message_count" not in spans[0].attributes
    assert spans[1].attributes["messaging.batch.message_count"] == 1


def test_a_process_span_says_the_group_of_its_consumer(kafka_bootstrap: str, producer: Any, topic: str) -> None:
    producer.send(topic, b"42").get(10)
    consumer = mqtrace.wrap(KafkaConsumer)(
        topic, bootstrap_servers=kafka_bootstrap, group_id="billing-" + topic, auto_offset_reset="earliest"
    )
    with record() as spans:
        for _message in mqtrace.each(consumer):
            break
    consumer.close()
    (span,) = spans
    assert span.attributes["messaging.consumer.group.name"] == "billing-" + topic


def test_a_producer_that_is_closed_before_the_report_ends_its_spans(topic: str) -> None:
    with record() as spans:
        client = mqtrace.wrap(KafkaProducer)(
            bootstrap_servers="127.0.0.1:1", api_version=(2, 6), max_block_ms=100, client_id="nobody"
        )
        with pytest.raises(Exception, match=r"."):
            client.send(topic, b"42").get(1)
        client.close(0)
    assert [span.status for span in spans] == ["error"]
