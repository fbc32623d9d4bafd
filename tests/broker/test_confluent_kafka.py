"""From a wrapped producer through a broker to a wrapped consumer: one trace, and everything its spans say."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    DeserializingConsumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    SerializingProducer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__
from confluent_kafka.error import (
    ConsumeError,
    KeyDeserializationError,
    KeySerializationError,
    ValueDeserializationError,
    ValueSerializationError,
)
from confluent_kafka.serialization import IntegerSerializer, StringDeserializer, StringSerializer

import mqtrace
from mqtrace.testing import Spans, record

PARTITION = "messaging.destination.partition.id"
OFFSET = "messaging.kafka.offset"
TOMBSTONE = "messaging.kafka.message.tombstone"
GROUP = "messaging.consumer.group.name"
LATENCY = "messaging.message.receive.latency"

Polled = Callable[..., list[Any]]


@pytest.fixture
def producer(kafka: str) -> Any:
    return mqtrace.wrap(Producer)({"bootstrap.servers": kafka, "client.id": "till", "linger.ms": 0})


# ---------------------------------------------------------------------- one message


def test_sent_and_processed_are_one_trace(
    kafka: str, topic: str, group: str, producer: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    with spans.tracer.start_span("order") as order:
        producer.produce(topic, b"pizza", b"ann", headers=[("mine", b"1")])
    assert producer.flush(20) == 0
    consumer = consumer_of(topic)
    (message,) = polled(consumer, 1)
    with mqtrace.process(message):
        producer.produce(f"{topic}-paid", b"12")
    assert producer.flush(20) == 0
    _, sent, processed, paid = spans
    host, _, port = kafka.partition(":")
    assert {span.trace_id for span in spans} == {order.trace_id}
    assert (sent.parent_id, processed.parent_id, paid.parent_id) == (order.span_id, sent.span_id, processed.span_id)
    assert [link.context.span_id for link in processed.links] == [sent.span_id]
    assert message.headers() == [("mine", b"1"), ("traceparent", f"00-{sent.trace_id}-{sent.span_id}-03".encode())]
    common = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        PARTITION: str(message.partition()),
        OFFSET: message.offset(),
        "server.address": host,
        "server.port": int(port),
    }
    assert dict(sent.attributes) == {
        **common,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.client.id": "till",
    }
    latency = processed.attributes[LATENCY]
    assert dict(processed.attributes) == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.client.id": "cook",
        GROUP: group,
        LATENCY: latency,
    }
    assert (sent.kind, processed.kind) == ("producer", "consumer")
    # from the timestamp that the client gave the message, whole milliseconds, to the start of the handler
    assert latency == pytest.approx(processed.start_time / 1e6 - message.timestamp()[1])
    assert sent.start_time / 1e6 - 2 <= message.timestamp()[1] <= processed.start_time / 1e6


@pytest.mark.parametrize("how", ["consumer", "process", "each", "coroutine", "generator"])
def test_every_way_to_handle_a_message_joins_its_trace(
    topic: str, producer: Any, consumer_of: Any, polled: Polled, spans: Spans, how: str
) -> None:
    import asyncio

    for number in range(3):
        producer.produce(topic, str(number).encode(), partition=0)
    assert producer.flush(20) == 0
    current: dict[str, str] = {}

    def note(message: Any) -> None:
        current[dict(message.headers())["traceparent"].decode()[36:52]] = mqtrace.current_span().span_id

    @mqtrace.consumer
    def handle(message: Any) -> None:
        note(message)

    @mqtrace.consumer
    async def handle_later(message: Any) -> None:
        await asyncio.sleep(0)
        note(message)

    @mqtrace.consumer
    def handle_in_steps(message: Any) -> Any:
        yield 1
        note(message)

    messages = polled(consumer_of(topic), 3)
    sent = [span.span_id for span in spans]
    for message in mqtrace.each(messages) if how == "each" else messages:
        if how == "consumer":
            handle(message)
        elif how == "process":
            with mqtrace.process(message):
                note(message)
        elif how == "coroutine":
            asyncio.run(handle_later(message))
        elif how == "generator":
            assert list(handle_in_steps(message)) == [1]
        else:
            note(message)
    processed = spans[3:]
    assert [span.parent_id for span in processed] == sent
    assert current == {str(span.parent_id): span.span_id for span in processed}
    assert [span.attributes[OFFSET] for span in processed] == [0, 1, 2]
    assert mqtrace.current_span().trace_id == "0" * 32


def test_a_batch_links_to_every_message_of_every_topic(
    kafka: str, make_topic: Any, producer: Any, consumer_of: Any, group: str, spans: Spans
) -> None:
    topics = [make_topic(kafka), make_topic(kafka)]
    for topic in topics:
        for number in range(5):
            producer.produce(topic, str(number).encode(), partition=0)
    assert producer.flush(20) == 0
    sent = {span.span_id: span for span in spans}
    consumer = consumer_of(*topics)
    messages: list[Any] = []
    deadline = time.monotonic() + 30
    while len(messages) < 10 and time.monotonic() < deadline:
        messages += consumer.consume(100, 0.5)
    with mqtrace.batch(messages) as span:
        pass
    assert span.name == "process"
    assert (span.attributes["messaging.batch.message_count"], span.attributes[GROUP]) == (10, group)
    assert {link.context.span_id for link in span.links} == set(sent)
    for link in span.links:
        of = sent[str(link.context.span_id)].attributes
        assert dict(link.attributes) == {name: of[name] for name in ("messaging.destination.name", PARTITION, OFFSET)}
    with mqtrace.batch([message for message in messages if message.topic() == topics[0]]) as one:
        pass
    assert one.name == f"process {topics[0]}"


def test_produce_batch_gives_every_message_a_context(
    topic: str, producer: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    assert producer.produce_batch(topic, [{"value": str(number)} for number in range(20)], partition=0) == 20
    assert producer.flush(20) == 0
    created = {span.span_id for span in spans if span.kind == "producer"}
    messages = polled(consumer_of(topic), 20)
    assert [message.value() for message in messages] == [str(number).encode() for number in range(20)]
    del spans[:]
    for message in messages:
        with mqtrace.process(message):
            pass
    assert {span.parent_id for span in spans} == created
    assert len(created) == 20


# ---------------------------------------------------------------------- unusual messages


@pytest.mark.real_only("the embedded broker compacts nothing")
def test_tombstones_of_a_compacted_topic_are_messages(
    kafka: str, producer: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    """FAULTS 3."""
    topic = f"topic-{uuid.uuid4().hex[:12]}"
    config = {"cleanup.policy": "compact"}
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(timeout=20)
    producer.produce(topic, b"v", b"k")
    producer.produce(topic, None, b"k")
    producer.produce(topic, b"", b"k2")
    assert producer.flush(20) == 0
    for message in mqtrace.each(polled(consumer_of(topic), 3)):
        assert message.key() in (b"k", b"k2")
    assert [span.attributes.get(TOMBSTONE) for span in spans] == [None, True, None] * 2
    del spans[:]
    producer.produce(topic, b"a compacted topic wants a key")
    producer.flush(20)
    assert [span.attributes["error.type"] for span in spans] == ["INVALID_RECORD"]


@pytest.mark.parametrize(
    ("headers", "malformed"),
    [
        ([("null", None), ("bytes", b"\xff\xfe"), ("empty", b""), ("", b"no name"), ("ü", b"1")], 0),
        ([("traceparent", b"\xff\xfe")], 1),
        ([("traceparent", None)], 0),
        ([("traceparent", b""), ("traceparent", b"00-nonsense")], 1),
        ([("tracestate", b"\xff" * 600), ("baggage", b"\x00,=;")], 1),
        ([(f"header-{number}", b"x" * 20) for number in range(1000)], 0),
        ([("traceparent", b"x" * 100_000)], 1),
    ],
    ids=["odd", "not-utf8", "null", "malformed", "state", "thousand", "long"],
)
def test_headers_of_others_cost_no_message(
    kafka: str, topic: str, consumer_of: Any, polled: Polled, spans: Spans, headers: Any, malformed: int
) -> None:
    """FAULTS 1. The sender is another program, not traced."""
    raw = Producer({"bootstrap.servers": kafka})
    raw.produce(topic, b"v", headers=list(headers))
    assert raw.flush(20) == 0
    (message,) = polled(consumer_of(topic), 1)
    with mqtrace.process(message) as span:
        pass
    assert message.headers() == headers
    assert span.parent_id is None
    assert spans.tracer.stats()["contexts_malformed"] == malformed


@pytest.mark.parametrize("count", [1, 1000])
def test_headers_of_ones_own_arrive_beside_the_context(
    topic: str, producer: Any, consumer_of: Any, polled: Polled, spans: Spans, count: int
) -> None:
    headers = [(f"header-{number % 7}", None if number % 3 else b"\xff%d" % number) for number in range(count)]
    producer.produce(topic, b"v", headers=headers)
    assert producer.flush(20) == 0
    (message,) = polled(consumer_of(topic), 1)
    assert message.headers()[:count] == headers
    assert len(message.headers()) == count + 1
    with mqtrace.process(message) as span:
        pass
    assert span.parent_id == spans[0].span_id


@pytest.mark.real_only("the embedded broker has no limit of a topic")
def test_a_message_that_the_topic_does_not_take_says_so_in_its_report(kafka: str, producer: Any, spans: Spans) -> None:
    topic = f"topic-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    new = NewTopic(topic, 1, 1, config={"max.message.bytes": "1000"})
    admin.create_topics([new])[topic].result(timeout=20)
    errors: list[Any] = []

    def report(error: Any, _: Any) -> None:
        errors.append(error.name())

    producer.produce(topic, b"x" * 5000, on_delivery=report)
    assert producer.flush(20) == 0
    with pytest.raises(KafkaException):
        producer.produce(topic, b"x" * 2_000_000)  # what the client itself does not take
    assert errors == ["MSG_SIZE_TOO_LARGE"]
    assert [span.status for span in spans] == ["error", "error"]
    assert spans[0].attributes["error.type"] == "MSG_SIZE_TOO_LARGE"


@pytest.mark.real_only("the embedded broker makes every topic it is asked about")
def test_a_topic_that_is_not_there_and_is_not_made_is_an_error(kafka: str, consumer_of: Any, spans: Spans) -> None:
    topic = f"topic-{uuid.uuid4().hex[:12]}"
    options = {"bootstrap.servers": kafka, "allow.auto.create.topics": False, "message.timeout.ms": 3000}
    options["topic.metadata.propagation.max.ms"] = 500
    producer = mqtrace.wrap(Producer)(options)
    errors: list[Any] = []

    def report(error: Any, _: Any) -> None:
        errors.append(error.name())

    producer.produce(topic, b"v", on_delivery=report)
    assert producer.flush(20) == 0
    assert errors[0] in ("_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART", "_MSG_TIMED_OUT")
    assert [span.attributes["error.type"] for span in spans] == errors
    consumer = consumer_of(f"{topic}-other", allow_auto_create_topics=False)
    deadline = time.monotonic() + 20
    while (event := consumer.poll(0.5)) is None and time.monotonic() < deadline:
        pass
    assert event.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    with mqtrace.process(event):
        assert list(mqtrace.each([event])) == [event]
    assert len(spans) == 1


def test_the_end_of_a_partition_passes_without_a_span(
    topic: str, producer: Any, consumer_of: Any, spans: Spans
) -> None:
    """FAULTS 4."""
    producer.produce(topic, b"v", partition=0)
    assert producer.flush(20) == 0
    consumer = consumer_of(topic, enable_partition_eof=True)
    del spans[:]

    @mqtrace.consumer
    def handle(message: Any) -> Any:
        return message

    seen: list[Any] = []
    deadline = time.monotonic() + 30
    while not {True, False} <= {event.error() is None for event in seen} and time.monotonic() < deadline:
        event = consumer.poll(0.2)
        if event is not None:
            seen.append(handle(event))
    ends = [event for event in seen if event.error() is not None]
    assert ends[0].error().code() == KafkaError._PARTITION_EOF
    assert len(spans) == len(seen) - len(ends) == 1
    with mqtrace.batch(ends) as span:
        assert not span.is_recording()


# ---------------------------------------------------------------------- serializers


def test_serializers_and_deserializers_work_and_the_trace_goes_through(
    kafka: str, topic: str, group: str, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    import json

    seen: list[Any] = []

    def to_json(value: Any, context: Any) -> bytes:
        seen.append((context.topic, context.field, [name for name, _ in context.headers]))
        return json.dumps(value).encode()

    producer = mqtrace.wrap(SerializingProducer)(
        {"bootstrap.servers": kafka, "key.serializer": StringSerializer(), "value.serializer": to_json}
    )
    producer.produce(topic, "ann", {"pizza": 1}, headers=[("mine", b"1")])
    assert producer.flush(20) == 0
    consumer = consumer_of(
        topic,
        kind=mqtrace.wrap(DeserializingConsumer),
        key_deserializer=StringDeserializer(),
        value_deserializer=lambda value, context: json.loads(value),
    )
    (message,) = polled(consumer, 1)
    with mqtrace.process(message) as span:
        pass
    assert (message.key(), message.value()) == ("ann", {"pizza": 1})
    assert seen == [(topic, "value", ["mine"])]  # the user's headers, as without mqtrace
    assert (span.parent_id, span.attributes[GROUP]) == (spans[0].span_id, group)


def test_what_a_serializer_raises_is_the_clients_error_on_the_span(kafka: str, topic: str, spans: Spans) -> None:
    options = {
        "bootstrap.servers": kafka,
        "key.serializer": StringSerializer(),
        "value.serializer": IntegerSerializer(),
    }
    producer = mqtrace.wrap(SerializingProducer)(options)
    with pytest.raises(ValueSerializationError):
        producer.produce(topic, "k", "no number")
    with pytest.raises(KeySerializationError):
        producer.produce(topic, 7.5j, 1)
    assert producer.flush(20) == 0
    said = [(span.status, str(span.attributes["error.type"]).rpartition(".")[2]) for span in spans]
    assert said == [("error", "ValueSerializationError"), ("error", "KeySerializationError")]


def test_what_a_deserializer_raises_leaves_poll_as_before(
    kafka: str, topic: str, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    def picky(data: bytes | None, context: Any) -> bytes | None:
        if data == b"bad":
            raise ValueError(data)
        return data

    raw = Producer({"bootstrap.servers": kafka})
    for key, value in ((b"k", b"bad"), (b"bad", b"v"), (b"k", b"v")):
        raw.produce(topic, value, key, partition=0)
    assert raw.flush(20) == 0
    settings = {"key_deserializer": picky, "value_deserializer": picky, "enable_partition_eof": True}
    consumer = consumer_of(topic, kind=mqtrace.wrap(DeserializingConsumer), **settings)
    raised: list[type] = []
    codes: list[int] = []
    deadline = time.monotonic() + 30
    while not {ConsumeError, Message} <= set(raised) and time.monotonic() < deadline:
        try:
            message = consumer.poll(0.2)
            if message is not None:
                raised.append(type(message))
                with mqtrace.process(message):
                    pass
        except ConsumeError as error:
            raised.append(type(error))
            codes.append(error.code)
    kinds = [kind for kind in raised if kind is not ConsumeError]
    assert kinds == [ValueDeserializationError, KeyDeserializationError, Message]
    assert KafkaError._PARTITION_EOF in codes
    assert len(spans) == 1


# ---------------------------------------------------------------------- transactions


@pytest.mark.real_only("the embedded broker forgets the offsets of a transaction")
def test_a_transaction_consumes_processes_and_produces(
    kafka: str, topic: str, group: str, make_topic: Any, producer: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    paid = make_topic(kafka)
    for number in range(3):
        producer.produce(topic, str(number).encode(), partition=0)
    assert producer.flush(20) == 0
    consumer = consumer_of(topic, enable_auto_commit=False)
    cashier = mqtrace.wrap(Producer)({"bootstrap.servers": kafka, "transactional.id": group})
    cashier.init_transactions(30)
    for message in polled(consumer, 3):
        cashier.begin_transaction()
        with mqtrace.process(message):
            cashier.produce(paid, message.value(), partition=0)
        offsets = consumer.position(consumer.assignment())
        cashier.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        cashier.commit_transaction(30)
    assert sum(max(0, one.offset) for one in consumer.committed(consumer.assignment(), timeout=20)) == 3
    reader = consumer_of(paid, group_id=f"{group}-paid", isolation_level="read_committed")
    final = polled(reader, 3)
    sent = {span.trace_id: span for span in spans if span.name == f"send {topic}"}
    forwarded = {span.span_id: span for span in spans if span.name == f"send {paid}"}
    assert {span.trace_id for span in forwarded.values()} == set(sent)
    for message in final:
        with mqtrace.process(message) as span:
            pass
        assert forwarded[str(span.parent_id)].attributes[OFFSET] == message.offset()


@pytest.mark.real_only("the embedded broker hides nothing from a read_committed reader")
def test_what_an_aborted_transaction_sent_has_spans_and_no_readers(
    kafka: str, topic: str, group: str, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka, "transactional.id": group, "linger.ms": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"delivered, and aborted")
    producer.flush(20)
    producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, b"kept")
    producer.commit_transaction(30)
    producer.begin_transaction()
    with mqtrace.use(spans[0]):
        producer.produce(topic, b"purged", partition=0)
        producer.abort_transaction(30)
    producer.flush(20)
    (message,) = polled(consumer_of(topic, isolation_level="read_committed"), 1)
    assert message.value() == b"kept"
    assert [span.status for span in spans[:2]] == ["unset", "unset"]
    assert len(spans) == 3
    assert spans[2].attributes.get("error.type") in (None, "_PURGE_QUEUE", "_PURGE_INFLIGHT")


# ---------------------------------------------------------------------- the span topic


def test_both_spans_stand_on_the_span_topic_as_the_collector_reads_them(
    kafka: str, topic: str, group: str, make_topic: Any, consumer_of: Any, polled: Polled, exported: Any
) -> None:
    span_topic = make_topic(kafka)
    shop = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{span_topic}")
    kitchen = mqtrace.Tracer("kitchen", 1.0, exporter=f"kafka://{kafka}/{span_topic}")
    producer = shop.wrap(Producer)({"bootstrap.servers": kafka, "client.id": "till"})
    producer.produce(topic, None, b"k")
    assert producer.flush(20) == 0
    consumer = consumer_of(topic, kind=kitchen.wrap(Consumer))
    (message,) = polled(consumer, 1)
    with pytest.raises(LookupError), kitchen.process(message) as processing:
        raise LookupError("no such pizza")
    assert shop.shutdown(20)
    assert kitchen.shutdown(20)
    found = dict(exported(kafka, span_topic, 2))
    sent, processed = found["shop"], found["kitchen"]
    assert sent.trace_id == processed.trace_id == bytes.fromhex(processing.trace_id)
    assert processed.parent_span_id == sent.span_id
    assert [(link.trace_id, link.span_id) for link in processed.links] == [(sent.trace_id, sent.span_id)]
    assert (sent.kind, processed.kind) == (sent.SPAN_KIND_PRODUCER, sent.SPAN_KIND_CONSUMER)
    values = {one.key: one.value for one in processed.attributes}
    assert values[OFFSET].int_value == message.offset()
    assert OFFSET in values  # 0 too
    assert values[PARTITION].string_value == str(message.partition())
    assert values[TOMBSTONE].bool_value
    assert values[GROUP].string_value == group
    assert values[LATENCY].double_value > 0
    assert values["error.type"].string_value == "LookupError"
    assert processed.status.code == processed.status.STATUS_CODE_ERROR
    (event,) = processed.events
    assert event.name == "exception"
    for span in (sent, processed):
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert sent.start_time_unix_nano <= processed.start_time_unix_nano


def test_a_backlog_is_read_whole_and_every_send_has_its_process(
    kafka: str, topic: str, make_topic: Any, consumer_of: Any, exported: Any
) -> None:
    count = 5000
    span_topic = make_topic(kafka)
    with record("shop"):
        pass
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{span_topic}")
    producer = tracer.wrap(Producer)({"bootstrap.servers": kafka, "linger.ms": 5})
    for number in range(count):
        producer.produce(topic, str(number).encode())
        producer.poll(0)
    assert producer.flush(30) == 0
    consumer = consumer_of(topic, kind=tracer.wrap(Consumer))
    read = 0
    deadline = time.monotonic() + 60
    while read < count and time.monotonic() < deadline:
        for message in tracer.each(consumer.consume(500, 1.0)):
            read += message.error() is None
    assert read == count
    assert tracer.shutdown(30)
    stats = tracer.stats()
    assert (stats["spans_exported"], sum(stats["spans_dropped"].values())) == (2 * count, 0)
    spans = [span for _, span in exported(kafka, span_topic, 2 * count, 60)]
    sent = {span.span_id for span in spans if span.kind == span.SPAN_KIND_PRODUCER}
    processed = [span.parent_span_id for span in spans if span.kind == span.SPAN_KIND_CONSUMER]
    assert len(spans) == 2 * count
    assert set(processed) == sent
    assert len(processed) == len(sent) == count


def test_a_message_that_is_read_again_is_processed_again(
    topic: str, producer: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    producer.produce(topic, b"v", partition=0)
    assert producer.flush(20) == 0
    consumer = consumer_of(topic)
    for message in mqtrace.each(polled(consumer, 1)):
        consumer.seek(TopicPartition(topic, 0, message.offset()))
    for _ in mqtrace.each(polled(consumer, 1)):
        pass
    sent, first, second = spans
    assert first.parent_id == second.parent_id == sent.span_id
    assert first.span_id != second.span_id
