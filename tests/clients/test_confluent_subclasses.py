"""Producers and consumers of a class that a user wrote: their own constructors, methods and arguments stay theirs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, SerializingProducer
from confluent_kafka.serialization import StringSerializer

import mqtrace
from mqtrace.testing import Spans

GROUP = "messaging.consumer.group.name"
OFFSET = "messaging.kafka.offset"


@pytest.fixture
def topic() -> str:
    return f"topic-{time.time_ns()}"


class Till(Producer):
    """Configures itself, with a delivery callback of its own."""

    def __init__(self, cluster: str) -> None:
        self.reported: list[bytes | str] = []
        super().__init__({"bootstrap.servers": cluster, "log_level": 0, "on_delivery": self.report})

    def report(self, error: Any, message: Any) -> None:
        self.reported.append(message.value())

    def order(self, topic: str) -> None:
        self.produce(topic, b"pizza")


def test_a_callback_that_a_constructor_configures_is_called(cluster: str, topic: str, spans: Spans) -> None:
    for producer in (mqtrace.wrap(Till)(cluster), mqtrace.wrap(Till(cluster))):
        producer.produce(topic, b"v")
        producer.flush(10)
        assert producer.reported == [b"v"]
    assert len(spans) == 2


def test_a_callback_in_a_configuration_given_by_name_is_called(cluster: str, topic: str, spans: Spans) -> None:
    reported: list[Any] = []
    configuration = {"bootstrap.servers": cluster, "client.id": "till", "log_level": 0}
    configuration["on_delivery"] = lambda error, message: reported.append(message.value())
    producer = mqtrace.wrap(SerializingProducer)(conf=configuration)
    producer.produce(topic, b"k", b"v")
    producer.flush(10)
    assert reported == [b"v"]
    assert spans[0].attributes["messaging.client.id"] == "till"
    assert OFFSET in spans[0].attributes


def test_a_constructor_that_takes_a_configuration_and_changes_nothing_shows_the_callback(
    cluster: str, topic: str, spans: Spans
) -> None:
    class Through(Producer):
        def __init__(self, configuration: dict[str, Any]) -> None:
            super().__init__({**configuration, "log_level": 0})

    class Replaced(Producer):
        def __init__(self, configuration: dict[str, Any], other: Any) -> None:
            super().__init__({**configuration, "log_level": 0, "on_delivery": other})

    reported: list[str] = []

    def report(error: Any, message: Any) -> None:
        reported.append("given")

    def other(error: Any, message: Any) -> None:
        reported.append("own")

    configuration = {"bootstrap.servers": cluster, "on_delivery": report}
    for producer in (mqtrace.wrap(Through)(configuration), mqtrace.wrap(Replaced)(configuration, other)):
        producer.produce(topic, b"v")
        producer.flush(10)
    assert reported == ["given", "own"]
    assert [OFFSET in span.attributes for span in spans] == [True, False]


def test_the_methods_of_a_wrapped_class_send_traced(cluster: str, topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Till)(cluster)
    producer.order(topic)
    producer.flush(10)
    assert producer.reported == [b"pizza"]
    assert [span.name for span in spans] == [f"send {topic}"]
    order = producer.order
    del producer
    order(topic)  # the proxy is gone, the client is not


def test_a_produce_with_arguments_of_its_own_is_traced_by_their_names(cluster: str, topic: str, spans: Spans) -> None:
    class Own(Producer):
        def produce(  # type: ignore[override]  # that is the point
            self, value: Any, topic: str, *, urgent: bool = False, headers: Any = None, on_delivery: Any = None
        ) -> str:
            super().produce(topic, value, headers=[*(headers or []), ("urgent", str(urgent))], on_delivery=on_delivery)
            return "sent"

    configuration = {"bootstrap.servers": cluster, "log_level": 0}
    reported: list[Any] = []
    for producer in (mqtrace.wrap(Own)(configuration), mqtrace.wrap(Own(configuration))):
        assert producer.produce(b"1", topic, urgent=True) == "sent"
        assert producer.produce(b"2", topic=topic, on_delivery=lambda _, m: reported.append(m.value())) == "sent"
        producer.flush(10)
        with pytest.raises(TypeError, match="nonsense"):
            producer.produce(b"1", topic, nonsense=1)  # type: ignore[call-arg]  # the error is the point
    assert reported == [b"2", b"2"]
    assert [OFFSET in span.attributes for span in spans] == [False, True, False, True]
    raw = Consumer({"bootstrap.servers": cluster, "group.id": topic, "auto.offset.reset": "earliest", "log_level": 0})
    raw.subscribe([topic])
    sent: list[Any] = [message for _ in range(4) for message in raw.consume(1, 10)]
    raw.close()
    assert [dict(message.headers())["urgent"] for message in sorted(sent, key=lambda m: m.value())][:2] == [b"True"] * 2
    contexts = {dict(message.headers())["traceparent"][36:52].decode() for message in sent}
    assert contexts == {span.span_id for span in spans}


def test_a_callback_that_such_a_produce_chooses_is_called(cluster: str, topic: str, spans: Spans) -> None:
    reported: list[Any] = []

    class Own(Producer):
        def produce(self, topic: str, **named: Any) -> None:  # type: ignore[override]  # a signature of the user's own
            named.setdefault("on_delivery", lambda error, message: reported.append(message.headers()))
            super().produce(topic, **named)

    producer = mqtrace.wrap(Own)({"bootstrap.servers": cluster, "log_level": 0})
    producer.produce(topic, value=b"v")
    producer.flush(10)
    assert len(reported) == len(spans) == 1


def test_a_produce_without_headers_works_untraced(cluster: str, topic: str, spans: Spans) -> None:
    class Own(Producer):
        def produce(self, topic: str, value: Any) -> None:  # type: ignore[override]  # a signature of the user's own
            super().produce(topic, value)

    producer = mqtrace.wrap(Own)({"bootstrap.servers": cluster, "log_level": 0})
    producer.produce(topic, b"v")
    assert producer.flush(10) == 0
    assert not spans


def test_what_such_a_produce_raises_is_on_the_span_and_goes_on(cluster: str, topic: str, spans: Spans) -> None:
    class Own(Producer):
        def produce(self, topic: str, headers: Any = None, on_delivery: Any = None) -> None:  # type: ignore[override]
            raise LookupError(topic)

    producer = mqtrace.wrap(Own)({"bootstrap.servers": cluster, "log_level": 0})
    for named in ({}, {"on_delivery": print}):
        with pytest.raises(LookupError):
            producer.produce(topic, **named)
    assert [span.attributes["error.type"] for span in spans] == ["LookupError"] * 2


def test_an_interrupt_that_the_client_loses_within_such_a_produce_is_one(
    cluster: str, topic: str, spans: Spans
) -> None:
    class Own(Producer):
        def produce(self, topic: str, **named: Any) -> None:  # type: ignore[override]  # a signature of the user's own
            # the client's words, see test_confluent_producer
            raise TypeError("expected header key to be unicode string")

    producer = mqtrace.wrap(Own)({"bootstrap.servers": cluster, "log_level": 0})
    for named in ({}, {"on_delivery": print}):
        with pytest.raises(KeyboardInterrupt):
            producer.produce(topic, **named)
    assert [span.attributes["error.type"] for span in spans] == ["KeyboardInterrupt"] * 2


def test_a_batch_goes_past_the_serializers_as_it_does_without_tracing(cluster: str, topic: str, spans: Spans) -> None:
    options = {"bootstrap.servers": cluster, "log_level": 0, "value.serializer": StringSerializer()}
    sent = []
    for producer in (SerializingProducer(options), mqtrace.wrap(SerializingProducer)(options)):
        sent.append(producer.produce_batch(topic, [{"key": b"k", "value": b"1"}, {"value": "2"}]))
        assert producer.flush(10) == 0
    assert sent == [2, 2]
    assert len(spans) == 3


def test_a_produce_batch_of_its_own_stays_its_own(cluster: str, topic: str, spans: Spans) -> None:
    class Own(Producer):
        def produce_batch(self, topic: str, messages: Any, *arguments: Any, **named: Any) -> int:
            for message in messages:
                message["value"] = message["value"].upper()
            return super().produce_batch(topic, messages)

    messages = [{"value": "a"}]
    producer = mqtrace.wrap(Own)({"bootstrap.servers": cluster, "log_level": 0})
    assert producer.produce_batch(topic, messages) == 1
    assert producer.flush(10) == 0
    assert messages == [{"value": "A"}]


def test_a_consumer_that_subscribes_in_its_constructor_is_known_by_its_messages(
    cluster: str, topic: str, spans: Spans
) -> None:
    class Cook(Consumer):
        def __init__(self, group: str) -> None:
            super().__init__(
                {"bootstrap.servers": cluster, "group.id": group, "auto.offset.reset": "earliest", "log_level": 0}
            )
            self.subscribe([topic])

    producer = Producer({"bootstrap.servers": cluster, "log_level": 0})
    producer.produce(topic, b"1")
    producer.flush(10)
    for form in ("class", "instance"):
        group = f"{topic}-{form}"
        consumer = mqtrace.wrap(Cook)(group) if form == "class" else mqtrace.wrap(Cook(group))
        while (message := consumer.poll(10)) is None:
            pass
        with mqtrace.process(message) as span:
            pass
        consumer.close()
        assert span.attributes[GROUP] == group
