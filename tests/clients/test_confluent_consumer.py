"""A wrapped consumer: the client it was, and process spans that know its group."""

from __future__ import annotations

import contextlib
import sys
import threading
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
        # librdkafka may wait for ever (its issue 4884) where an assignment that nobody has polled for meets the close.
        with contextlib.suppress(RuntimeError):  # the test has closed it
            consumer.poll(0)
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
    consumer.subscribe([topic])
    assert consumer.poll == raw.poll
    assert consumer.consume == raw.consume
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


def test_the_link_of_a_receive_span_says_that_the_message_is_a_tombstone(
    configuration: dict[str, Any], topic: str, made: Any
) -> None:
    producer = Producer({"bootstrap.servers": configuration["bootstrap.servers"], "log_level": 0})
    producer.produce(topic, None, headers={"traceparent": f"00-{9:032x}-{'b2' * 8}-03".encode()})
    producer.flush(10)
    with record("shop", receive_spans=True) as spans:
        consumer = made(mqtrace.wrap(Consumer)(configuration))
        consumer.subscribe([topic])
        messages = poll(consumer, 4)
    said = [span.links[0].attributes.get("messaging.kafka.message.tombstone") for span in spans]
    assert said == [True if message.value() is None else None for message in messages]
    assert said.count(True) == 1


def test_a_pattern_tells_the_topic_too(configuration: dict[str, Any], topic: str, made: Any, spans: Spans) -> None:
    consumer = made(mqtrace.wrap(Consumer)(configuration))
    consumer.subscribe([f"^{topic[:-3]}.*"])
    with mqtrace.process(poll(consumer, 1)[0]) as span:
        pass
    assert span.attributes["messaging.consumer.group.name"] == configuration["group.id"]


def test_a_later_group_of_a_topic_is_not_taken_for_the_one_before(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    """Of `process`, `each` and a tracer's own handlers too, which do not follow the default tracer."""

    @spans.tracer.consumer
    def handle(message: object) -> None: ...

    groups = [configuration["group.id"], f"{configuration['group.id']}-later"]
    for group in groups:
        consumer = mqtrace.wrap(Consumer)({**configuration, "group.id": group})
        consumer.subscribe([topic])
        first, second, third = poll(consumer, 3)
        with mqtrace.process(first):
            pass
        list(mqtrace.each([second]))
        handle(third)
        consumer.close()
    said = [span.attributes["messaging.consumer.group.name"] for span in spans]
    assert said == [group for group in groups for _ in range(3)]


def test_a_message_that_is_handled_after_the_close_has_its_group(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    consumer = mqtrace.wrap(Consumer(configuration))
    consumer.subscribe([topic])
    messages = poll(consumer, 3)
    consumer.close()
    with mqtrace.process(messages[0]), mqtrace.batch(messages):
        pass
    assert [span.attributes["messaging.consumer.group.name"] for span in spans] == [configuration["group.id"]] * 2


def test_a_message_of_either_of_two_groups_that_are_closed_has_none(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    for name in ("first", "second"):
        consumer = mqtrace.wrap(Consumer({**configuration, "group.id": f"{configuration['group.id']}-{name}"}))
        consumer.subscribe([topic])
        message = poll(consumer, 1)[0]
        with mqtrace.process(message):
            pass
        consumer.close()
    with mqtrace.process(message):
        pass
    groups = [span.attributes.get("messaging.consumer.group.name") for span in spans]
    assert groups == [f"{configuration['group.id']}-first", f"{configuration['group.id']}-second", None]


@pytest.mark.parametrize("pattern", ["^{}[[:digit:]]+$", "^{}.*"])
def test_a_pattern_that_only_the_client_can_read_is_learned_from_the_messages(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans, pattern: str
) -> None:
    consumer = made(mqtrace.wrap(Consumer)(configuration))
    consumer.subscribe([pattern.format(topic[:-5])])
    with mqtrace.process(poll(consumer, 1)[0]) as span:
        pass
    assert span.attributes["messaging.consumer.group.name"] == configuration["group.id"]
    own = consumer.poll == mqtrace.unwrap(consumer).poll
    assert own is ("digit" not in pattern)


@pytest.mark.parametrize("call", ["poll", "consume"])
def test_what_was_subscribed_before_it_was_wrapped_is_known(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans, call: str
) -> None:
    raw = Consumer(configuration)
    raw.subscribe([topic])
    consumer = made(mqtrace.wrap(raw))
    messages = poll(consumer, 1) if call == "poll" else consumer.consume(1, 15)
    with mqtrace.process(messages[0]) as span:
        pass
    assert span.attributes["messaging.consumer.group.name"] == configuration["group.id"]
    consumer.subscribe([topic])
    assert consumer.poll == raw.poll


def test_the_callbacks_of_a_subscription_are_given_the_wrapped_consumer(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans
) -> None:
    """A method of a user's subclass is not there on the client within."""

    class Cook(mqtrace.wrap(Consumer)):  # type: ignore[misc]  # a class made at run time
        def begin(self, partitions: list[TopicPartition]) -> None:
            begun.append(partitions)
            self.assign(partitions)

    begun: list[Any] = []
    ended: list[Any] = []
    consumer = made(Cook(configuration))
    consumer.subscribe([topic], lambda given, partitions: given.begin(partitions), on_revoke=lambda *a: ended.append(a))
    with mqtrace.process(poll(consumer, 1)[0]) as span:
        pass
    assert span.attributes["messaging.consumer.group.name"] == configuration["group.id"]
    assert {partition.topic for partition in begun[0]} == {topic}
    consumer.close()
    assert ended[0][0] is consumer
    with pytest.raises(TypeError, match="on_assign expects a callable"):
        made(Cook(configuration)).subscribe([topic], on_assign=7)


def test_what_is_assigned_within_a_callback_does_not_end_the_subscription(
    configuration: dict[str, Any], topic: str, made: Any, spans: Spans
) -> None:
    consumer = made(mqtrace.wrap(Consumer)(configuration))
    consumer.subscribe([topic, f"{topic}-other"], on_assign=lambda given, _: given.assign([]))
    for _ in range(20):
        consumer.poll(0.1)
    assert {topic, f"{topic}-other"} == set(consumer._mqtrace.reading.topics)


def test_clients_are_wrapped_on_any_thread_while_tracers_come_and_go(configuration: dict[str, Any]) -> None:
    failed: list[BaseException] = []
    done = threading.Event()

    def wrap() -> None:
        while not done.is_set():
            try:
                mqtrace.consumer(lambda message: None)
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=wrap) for _ in range(3)]
    for thread in threads:
        thread.start()
    kept = [mqtrace.consumer(lambda message: None) for _ in range(2000)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            with record("shop"):
                pass
    finally:
        sys.setswitchinterval(before)
        done.set()
        for thread in threads:
            thread.join()
    assert len(kept) == 2000
    assert failed == []
