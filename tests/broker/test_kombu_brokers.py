"""kombu on a real RabbitMQ, a real Redis, and in the filesystem."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mqtrace
from mqtrace.testing import Spans, record

# kombu says that it is typed, and most of it is not.
kombu: Any = importlib.import_module("kombu")
producers: Any = importlib.import_module("kombu.pools").producers


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record("shop") as recorded:
        yield recorded


@pytest.fixture(params=["rabbitmq", "redis", "filesystem"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    options: dict[str, Any] = {}
    if request.param == "filesystem":
        url = "filesystem://"
        options = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": str(tmp_path)}
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    with kombu.Connection(url, transport_options=options) as made:
        yield made


@pytest.fixture
def rabbitmq(rabbitmq_url: str) -> Iterator[Any]:
    with kombu.Connection(rabbitmq_url) as made:
        yield made


@pytest.fixture
def queue(connection: Any) -> Iterator[Any]:
    name = f"queue-{uuid.uuid4().hex[:8]}"
    made = kombu.Queue(name, kombu.Exchange(f"x-{name}"), routing_key="key")(connection.default_channel)
    yield made
    made.delete()
    made.exchange.delete()


def drain(connection: Any, consumer: Any, count: int = 1) -> None:
    seen = len(consumer.messages)
    with consumer:
        while len(consumer.messages) < seen + count:
            connection.drain_events(timeout=10)


def consumer_of(connection: Any, queues: Any, handle: Any) -> Any:
    messages: list[Any] = []

    def callback(body: Any, message: Any) -> None:
        messages.append(message)
        handle(message)

    wrapped = mqtrace.wrap(kombu.Consumer(connection, queues, callbacks=[callback]))
    wrapped.messages = messages
    return wrapped


def publish(connection: Any, queue: Any, **named: Any) -> None:
    producer = mqtrace.wrap(kombu.Producer(connection))
    producer.publish("body", exchange=queue.exchange, routing_key="key", declare=[queue], **named)


def test_a_trace_goes_through_every_transport(connection: Any, queue: Any, spans: Spans) -> None:
    publish(connection, queue, headers={"mine": 1}, correlation_id="c")
    drain(connection, consumer_of(connection, [queue], lambda message: message.ack()))
    send, process = spans
    driver = connection.transport.driver_type
    system = "rabbitmq" if driver == "amqp" else driver
    assert process.parent_id == send.span_id
    assert process.attributes["mqtrace.outcome"] == "ack"
    assert process.attributes["messaging.destination.name"] == f"x-{queue.name}:key:{queue.name}"
    assert process.attributes["messaging.message.conversation_id"] == "c"
    assert 0 <= process.attributes["messaging.message.receive.latency"] < 10_000  # type: ignore[operator]  # a float
    for span in spans:
        assert span.attributes["messaging.system"] == system
        assert ("messaging.rabbitmq.destination.routing_key" in span.attributes) == (system == "rabbitmq")
        assert span.attributes.get("server.address") == (None if system == "filesystem" else connection.hostname)
        assert span.attributes.get("server.port") == (None if system == "filesystem" else connection.port)
    assert ("messaging.rabbitmq.message.delivery_tag" in process.attributes) == (system == "rabbitmq")


@pytest.fixture(params=["rabbitmq", "redis"])
def alternates(request: pytest.FixtureRequest) -> list[str]:
    """Two names of one broker, of which kombu's transports take neither for the other as they do with localhost."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    assert "127.0.0.1" in url
    return [url.replace("127.0.0.1", "127.1"), url]


def _went_to(spans: Spans) -> list[Any]:
    return [span.attributes["server.address"] for span in spans]


def test_after_a_failover_a_producer_names_the_broker_that_it_goes_to(alternates: list[str], spans: Spans) -> None:
    with kombu.Connection(alternates) as connection:
        producer = mqtrace.wrap(kombu.Producer(connection))
        simple = mqtrace.wrap(connection.SimpleBuffer(f"simple-{uuid.uuid4().hex[:8]}"))
        for _ in range(2):
            producer.publish("body", routing_key="nobody")
            simple.put("body")
        connection.maybe_switch_next()
        connection.ensure_connection()
        producer.revive(connection)
        other = mqtrace.wrap(connection.SimpleBuffer(f"simple-{uuid.uuid4().hex[:8]}"))
        producer.publish("body", routing_key="nobody")
        other.put("body")
        assert _went_to(spans) == ["127.1"] * 4 + ["127.0.0.1"] * 2
        assert {span.attributes["server.port"] for span in spans} == {connection.port}


def test_a_failover_within_a_publish_is_to_the_broker_that_took_the_message(rabbitmq_url: str, spans: Spans) -> None:
    dead = rabbitmq_url.rpartition("@")[0] + "@127.1:1/"
    with kombu.Connection([dead, rabbitmq_url]) as connection:
        producer = mqtrace.wrap(kombu.Producer(connection))
        for _ in range(2):
            producer.publish("body", routing_key="nobody", retry=True, retry_policy={"max_retries": 3})
        assert _went_to(spans) == ["127.0.0.1"] * 2
        assert [span.attributes["server.port"] for span in spans] == [connection.port] * 2


def test_a_producer_that_is_given_another_connection_names_that_ones_broker(
    alternates: list[str], spans: Spans
) -> None:
    with kombu.Connection(alternates[0]) as first, kombu.Connection(alternates[1]) as second:
        producer = mqtrace.wrap(kombu.Producer(first))
        producer.publish("body", routing_key="nobody")
        producer.revive(second)
        producer.publish("body", routing_key="nobody")
        assert _went_to(spans) == ["127.1", "127.0.0.1"]


def test_a_simple_queue(connection: Any, spans: Spans) -> None:
    simple = mqtrace.wrap(connection.SimpleQueue(f"simple-{uuid.uuid4().hex[:8]}"))
    simple.put("one")
    message = simple.get(timeout=10)
    with mqtrace.process(message) as span:
        message.ack()
    assert span.parent_id == spans[0].span_id
    assert span.attributes["mqtrace.outcome"] == "ack"
    simple.close()


def test_a_message_that_is_put_back_is_marked(connection: Any, queue: Any, spans: Spans) -> None:
    seen: list[Any] = []

    def handle(message: Any) -> None:
        seen.append(message)
        if len(seen) == 1:
            message.requeue()
        else:
            message.ack()

    publish(connection, queue)
    drain(connection, consumer_of(connection, [queue], handle), 2)
    send, first, second = spans
    assert first.parent_id == second.parent_id == send.span_id
    assert [span.attributes["mqtrace.outcome"] for span in (first, second)] == ["requeue", "ack"]
    if connection.transport.driver_type in ("amqp", "redis"):
        assert second.attributes["mqtrace.redelivered"] is True


def test_retry_pools_and_confirms(rabbitmq_url: str, spans: Spans) -> None:
    with kombu.Connection(rabbitmq_url, transport_options={"confirm_publish": True}) as connection:
        queue = kombu.Queue(f"queue-{uuid.uuid4().hex[:8]}", auto_delete=True, exclusive=True)
        with producers[connection].acquire(block=True) as raw:
            producer = mqtrace.wrap(raw)
            producer.publish("body", routing_key=queue.name, declare=[queue], retry=True)
            message = queue(producer.channel).get(no_ack=True)
        assert message.headers["traceparent"].split("-")[2] == spans[0].span_id
        assert len(spans) == 1


@pytest.mark.parametrize("sort", ["classic", "quorum"])
def test_a_dead_letter_keeps_its_trace(rabbitmq: Any, spans: Spans, sort: str) -> None:
    name = f"dead-{uuid.uuid4().hex[:8]}"
    arguments = {"x-queue-type": sort, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}-dlq"}
    channel = rabbitmq.default_channel
    queue = kombu.Queue(name, queue_arguments=arguments)(channel)
    letters = kombu.Queue(f"{name}-dlq", queue_arguments={"x-queue-type": sort})(channel)
    try:
        producer = mqtrace.wrap(kombu.Producer(rabbitmq))
        producer.publish("body", routing_key=name, declare=[queue, letters])

        def handle(message: Any) -> None:
            if message.headers.get("x-death"):
                message.ack()
            else:
                message.reject()

        drain(rabbitmq, consumer_of(rabbitmq, [queue, letters], handle), 2)
        send, first, second = spans
        assert first.parent_id == second.parent_id == send.span_id
        assert first.attributes["mqtrace.outcome"] == "reject"
        assert second.attributes["messaging.destination.name"] == f"{name}-dlq"
        assert second.attributes["mqtrace.dead_letter.count"] == 1
        assert second.attributes["mqtrace.dead_letter.reason"] == "rejected"
        assert second.attributes["mqtrace.dead_letter.queue"] == name
    finally:
        queue.delete()
        letters.delete()


@pytest.mark.parametrize("value", [7, b"\xff\xfe", ["x"], {"x": 1}, True, None, "nonsense", 1.5])
def test_a_malformed_context_does_not_keep_a_message(rabbitmq: Any, spans: Spans, value: Any) -> None:
    """FAULTS 2."""
    queue = kombu.Queue(f"queue-{uuid.uuid4().hex[:8]}", exclusive=True)(rabbitmq.default_channel)
    queue.declare()
    kombu.Producer(rabbitmq).publish("body", routing_key=queue.name, headers={"traceparent": value})
    consumer = consumer_of(rabbitmq, [queue], lambda message: message.ack())
    drain(rabbitmq, consumer)
    assert list(consumer.messages[0].headers) == ["traceparent"]
    assert spans[0].parent_id is None
    assert spans.tracer.stats()["contexts_malformed"] == 1


def test_pika_and_kombu_share_a_trace(rabbitmq: Any, rabbitmq_url: str, spans: Spans) -> None:
    import pika  # type: ignore[import-untyped]  # pika ships no types

    name = f"queue-{uuid.uuid4().hex[:8]}"
    queue = kombu.Queue(name)(rabbitmq.default_channel)
    other = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    try:
        mqtrace.wrap(kombu.Producer(rabbitmq)).publish("body", routing_key=name, declare=[queue])
        channel = mqtrace.wrap(other.channel())
        with mqtrace.process(channel.basic_get(name, auto_ack=True)):
            channel.basic_publish("", name, b"again")
        drain(rabbitmq, consumer_of(rabbitmq, [queue], lambda message: message.ack()))
        assert [span.kind for span in spans] == ["producer", "producer", "consumer", "consumer"]
        assert len({span.trace_id for span in spans}) == 1
    finally:
        queue.delete()
        other.close()
