"""A wrapped producer: the client it was, and a send span for every message."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Consumer, Producer, SerializingProducer
from confluent_kafka.error import ValueSerializationError

import mqtrace
from mqtrace.clients.confluent import batches
from mqtrace.core import SendSpan
from mqtrace.testing import Spans, record


@pytest.fixture
def configuration(cluster: str) -> dict[str, Any]:
    return {"bootstrap.servers": cluster, "client.id": "till", "log_level": 0, "linger.ms": 0}


@pytest.fixture
def read(cluster: str) -> Iterator[Callable[[str, int], list[Any]]]:
    """``read(topic, n)``: the first n messages of a topic."""
    consumers: list[Consumer] = []

    def messages(topic: str, count: int) -> list[Any]:
        consumer = Consumer(
            {"bootstrap.servers": cluster, "group.id": f"read-{time.time_ns()}", "auto.offset.reset": "earliest"}
        )
        consumers.append(consumer)
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(4)])
        found: list[Any] = []
        until = time.monotonic() + 10
        while len(found) < count and time.monotonic() < until:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
        return found

    yield messages
    for consumer in consumers:
        consumer.close()


@pytest.fixture
def topic() -> str:
    return f"topic-{time.time_ns()}"


# ---------------------------------------------------------------------- the span


def test_a_send_span_lasts_to_the_report_and_its_context_is_in_the_message(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer)(configuration)
    producer.produce(topic, b"pizza")
    assert not spans
    assert producer.flush(10) == 0
    (span,) = spans
    (message,) = read(topic, 1)
    assert dict(message.headers()) == {"traceparent": f"00-{span.trace_id}-{span.span_id}-03".encode()}
    assert span.name == f"send {topic}"
    assert span.kind == "producer"
    host, _, port = configuration["bootstrap.servers"].partition(":")
    assert dict(span.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.client.id": "till",
        "server.address": host,
        "server.port": int(port),
        "messaging.destination.partition.id": str(message.partition()),
        "messaging.kafka.offset": message.offset(),
    }
    assert span.status == "unset"


def test_a_send_is_the_child_of_what_is_current(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    with spans.tracer.start_span("order") as order:
        producer.produce(topic, b"1")
    producer.flush(10)
    assert spans[-1].parent_id == order.span_id
    assert spans[-1].trace_id == order.trace_id


def test_a_tombstone_says_so(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, None, "key", 0)
    producer.produce(topic, b"", partition=0)
    producer.flush(10)
    said = [span.attributes.get("messaging.kafka.message.tombstone") for span in spans]
    assert said == [True, None]


def test_neither_key_nor_value_nor_headers_land_on_the_span(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    """FAULTS 19."""
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"secret-value", b"secret-key", headers={"h": b"secret-header"})
    producer.flush(10)
    assert "secret" not in str(dict(spans[0].attributes))


def test_what_is_not_sampled_sends_its_context_and_makes_no_span(
    configuration: dict[str, Any], topic: str, read: Any
) -> None:
    with record("shop", sampler=0.0) as spans:
        producer = mqtrace.wrap(Producer(configuration))
        producer.produce(topic, b"1", partition=0, headers=[("mine", b"x")])
        producer.produce(topic, b"2", partition=0)
        producer.flush(10)
    first, second = read(topic, 2)
    assert not spans
    assert first.headers()[0] == ("mine", b"x")
    assert first.headers()[1][1].endswith(b"-02")
    assert second.headers()[0][1].endswith(b"-02")


def test_before_configure_messages_go_out_as_they_are(configuration: dict[str, Any], topic: str, read: Any) -> None:
    from mqtrace import tracer

    before = tracer.set_default(None)
    try:
        producer = mqtrace.wrap(Producer(configuration))
        producer.produce(topic, b"1")
        producer.flush(10)
        assert read(topic, 1)[0].headers() is None
    finally:
        tracer.set_default(before)


# ---------------------------------------------------------------------- the user's headers


@pytest.mark.parametrize("make", [list, dict])
def test_the_users_headers_are_sent_and_not_changed(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans, make: Any
) -> None:
    """FAULTS 7."""
    headers = make([("a", b"1"), ("b", "2"), ("c", None)])
    kept = make(headers)
    producer = mqtrace.wrap(Producer(configuration))
    for _ in range(3):
        producer.produce(topic, b"v", headers=headers)
    producer.flush(10)
    assert headers == kept
    messages = read(topic, 3)
    assert all(message.headers()[:3] == [("a", b"1"), ("b", b"2"), ("c", None)] for message in messages)
    assert {message.headers()[3][1][36:52].decode() for message in messages} == {span.span_id for span in spans}


def test_duplicates_of_the_users_headers_stay(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"v", headers=[("a", b"1"), ("a", b"2")])
    producer.flush(10)
    assert [value for name, value in read(topic, 1)[0].headers() if name == "a"] == [b"1", b"2"]


def test_a_valid_context_of_the_users_is_kept_and_linked(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    theirs = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"v", headers=[("traceparent", theirs), ("tracestate", b"mine=1")])
    producer.flush(10)
    assert read(topic, 1)[0].headers() == [("traceparent", theirs), ("tracestate", b"mine=1")]
    (span,) = spans
    assert span.kind == "client"
    assert [link.context.trace_id for link in span.links] == ["a1" * 16]


def test_a_malformed_context_of_the_users_is_replaced(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"v", headers=[("traceparent", b"nonsense"), ("tracestate", b"stale=1"), ("a", b"1")])
    producer.flush(10)
    headers = read(topic, 1)[0].headers()
    assert headers == [("a", b"1"), ("traceparent", f"00-{spans[0].trace_id}-{spans[0].span_id}-03".encode())]
    assert spans[0].kind == "producer"


def test_baggage_goes_along(configuration: dict[str, Any], topic: str, read: Any, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    with mqtrace.use(mqtrace.Context().with_baggage(user="ann b")):
        producer.produce(topic, b"v")
    producer.flush(10)
    assert dict(read(topic, 1)[0].headers())["baggage"] == b"user=ann%20b"


# ---------------------------------------------------------------------- the client it was


def test_every_argument_is_taken_by_position_and_by_name(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    """FAULTS 5."""
    reports: list[Any] = []
    producer = mqtrace.wrap(Producer(configuration))

    def report(error: Any, message: Any) -> None:
        reports.append((error, message.value()))

    producer.produce(topic, b"1", b"k", 2, report, None, 1_700_000_000_000, {"a": b"1"})
    producer.produce(
        topic=topic, value=b"2", key=b"k", partition=2, on_delivery=report, timestamp=1_700_000_000_001, headers={}
    )
    producer.produce(topic, b"3", partition=2, callback=report)
    producer.flush(10)
    assert reports == [(None, b"1"), (None, b"2"), (None, b"3")]
    first, second, _ = read(topic, 3)
    assert (first.key(), first.partition(), first.timestamp()[1]) == (b"k", 2, 1_700_000_000_000)
    assert second.timestamp()[1] == 1_700_000_000_001
    assert len(spans) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda producer: producer.produce(),
        lambda producer: producer.produce(7, b"v"),
        lambda producer: producer.produce(None),
        lambda producer: producer.produce("t", object()),
        lambda producer: producer.produce("t", b"v", headers=7),
        lambda producer: producer.produce("t", b"v", headers=[("only a name",)]),
        lambda producer: producer.produce("t", b"v", headers=[(1, 2)]),
        lambda producer: producer.produce("t", b"v", headers={"a": 1.5}),
        lambda producer: producer.produce("t", b"v", timestamp="now"),
        lambda producer: producer.produce("t", b"v", nonsense=1),
        lambda producer: producer.produce("", b"v"),
        lambda producer: producer.produce("x" * 300, b"v"),
        lambda producer: producer.nothing_of_the_kind(),
        lambda producer: producer.poll("long"),
    ],
)
def test_errors_are_those_of_the_client(configuration: dict[str, Any], spans: Spans, call: Any) -> None:
    bare = Producer(configuration)
    wrapped = mqtrace.wrap(Producer(configuration))
    outcomes: list[Any] = []
    for producer in (bare, wrapped):
        try:
            outcomes.append((None, call(producer)))
        except Exception as error:
            outcomes.append((type(error), None))
    assert outcomes[0] == outcomes[1]
    assert not [span for span in spans if span.is_recording()]


def test_it_has_every_attribute_of_the_client(configuration: dict[str, Any], spans: Spans) -> None:
    bare = Producer(configuration)
    wrapped = mqtrace.wrap(bare)
    assert set(dir(bare)) <= set(dir(wrapped))
    for name in dir(bare):
        assert hasattr(wrapped, name)
    assert isinstance(wrapped, Producer)
    assert len(wrapped) == len(bare) == 0
    assert bool(wrapped) is bool(bare)
    assert wrapped.list_topics(timeout=5).brokers
    assert mqtrace.unwrap(wrapped) is bare
    assert mqtrace.unwrap(bare) is bare
    assert mqtrace.wrap(wrapped) is wrapped


def test_what_it_does_not_know_is_a_type_error_that_says_what_it_does() -> None:
    for thing in (object(), 7, "kafka", list):
        with pytest.raises(TypeError, match="confluent_kafka Producer"):
            mqtrace.wrap(thing)
    with pytest.raises(mqtrace.ConfigurationError, match="nonsense"):
        mqtrace.wrap(Producer({"bootstrap.servers": "x", "log_level": 0}), nonsense=1)


def test_a_wrapped_class_makes_wrapped_producers(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    Wrapped = mqtrace.wrap(Producer)
    assert mqtrace.wrap(Wrapped) is Wrapped
    assert mqtrace.wrap(Producer) is Wrapped
    assert mqtrace.unwrap(Wrapped) is Producer

    class Mine(Wrapped):  # type: ignore[misc,valid-type]  # a class made at run time
        def __init__(self, configuration: Any) -> None:
            super().__init__(configuration)
            self.sent = 0

        def send(self, topic: str) -> None:
            self.sent += 1
            self.produce(topic, b"v")

    producer = Mine(configuration)
    assert isinstance(producer, Producer)
    producer.send(topic)
    producer.flush(10)
    assert producer.sent == 1
    assert spans[0].attributes["messaging.client.id"] == "till"
    with pytest.raises(confluent_kafka.KafkaException):
        Wrapped({"no.such.option": 1})


def test_an_error_of_produce_is_on_the_span_and_goes_on(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer({**configuration, "queue.buffering.max.messages": 1, "linger.ms": 5000}))
    producer.produce(topic, b"1")
    with pytest.raises(BufferError):
        producer.produce(topic, b"2")
    assert [span.attributes.get("error.type") for span in spans] == ["BufferError"]
    producer.flush(10)
    assert [span.status for span in spans] == ["error", "unset"]


def test_a_serializing_producer_takes_the_key_first(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    def note(reports: list[Any], error: Any, message: Any) -> None:
        reports.append(error)

    def serialize(value: Any, context: Any) -> bytes:
        if value == "bad":
            raise ValueError("cannot")
        return str(value).encode()

    options = {**configuration, "key.serializer": serialize, "value.serializer": serialize}
    for producer in (mqtrace.wrap(SerializingProducer)(options), mqtrace.wrap(SerializingProducer(options))):
        reports: list[Any] = []
        producer.produce(topic, "k", "v", 1, functools.partial(note, reports))
        with pytest.raises(ValueSerializationError):
            producer.produce(topic, value="bad")
        producer.flush(10)
        assert reports == [None]
    messages = read(topic, 2)
    assert [(message.key(), message.value()) for message in messages] == [(b"k", b"v")] * 2
    assert len(messages[0].headers()) == 1
    assert sorted(str(span.attributes.get("error.type")) for span in spans) == [
        "None",
        "None",
        *["confluent_kafka.error.ValueSerializationError"] * 2,
    ]


# ---------------------------------------------------------------------- delivery reports


def test_callbacks_of_the_call_and_of_the_configuration_work_as_before(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    configured: list[Any] = []
    given: list[Any] = []
    producer = mqtrace.wrap(Producer)(
        {**configuration, "on_delivery": lambda error, message: configured.append(message)}
    )
    producer.produce(topic, b"1")
    producer.produce(topic, b"2", on_delivery=lambda error, message: given.append(message.value()))
    producer.produce(topic, b"3", callback=None, on_delivery=lambda error, message: given.append(message.value()))
    producer.flush(10)
    assert sorted(message.value() for message in configured) == [b"1", b"3"]
    assert given == [b"2"]
    assert len(spans) == 3


def test_the_callback_of_an_instance_is_called_though_nobody_said_which_it_is(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    reports: list[Any] = []

    def report(error: Any, message: Any) -> None:
        reports.append(message.value())

    silent = mqtrace.wrap(Producer({**configuration, "on_delivery": report}))
    silent.produce(topic, b"1")
    assert len(spans) == 1
    assert "messaging.kafka.offset" not in spans[0].attributes
    silent.flush(10)
    told = mqtrace.wrap(Producer({**configuration, "on_delivery": report}), on_delivery=report)
    told.produce(topic, b"2")
    told.flush(10)
    assert reports == [b"1", b"2"]
    assert "messaging.kafka.offset" in spans[1].attributes


def test_what_a_callback_raises_surfaces_as_before(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    def report(error: Any, message: Any) -> None:
        raise RuntimeError("in the report")

    outcomes: list[Any] = []
    for producer in (Producer(configuration), mqtrace.wrap(Producer(configuration))):
        producer.produce(topic, b"1", on_delivery=report)
        with pytest.raises((RuntimeError, SystemError)) as caught:
            for _ in range(100):
                producer.poll(0.1)
        outcomes.append(type(caught.value))
    assert outcomes[0] is outcomes[1]
    assert len(spans) == 1


@pytest.mark.parametrize("call", ["poll", "flush"])
def test_an_interrupt_within_a_delivery_report_is_one(
    configuration: dict[str, Any], topic: str, spans: Spans, call: str
) -> None:
    """On Python 3.11 the client loses it, and ours may be the only callback there is."""
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"1", on_delivery=lambda error, message: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        getattr(producer, call)(20)
    assert len(spans) == 1


class Interrupting:
    """A partition to which the client's C code converts just before it reads the headers, and a Ctrl-C arrives."""

    __index__ = functools.partial(ctypes.pythonapi.PyErr_SetInterruptEx, int(signal.SIGINT))


INTERRUPTING: Any = Interrupting()  # anything, to the checkers: it stands for a number


@pytest.mark.parametrize("headers", [None, [("a", b"1")], {"a": b"1"}])
@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("reported", [True, False])
def test_an_interrupt_while_the_headers_are_read_is_one(
    configuration: dict[str, Any], topic: str, headers: Any, sampled: bool, reported: bool
) -> None:
    """The client calls it a header's key that is no string, and the headers may be ours alone."""
    with record(sampler=1.0 if sampled else 0.0) as spans:
        producer = mqtrace.wrap(Producer)({**configuration, "delivery.report.only.error": not reported})
        with spans.tracer.start_span("order"), pytest.raises(KeyboardInterrupt):
            producer.produce(topic, b"1", partition=INTERRUPTING, headers=headers)
        assert [span.attributes["error.type"] for span in spans if span.kind == "producer"] == (
            ["KeyboardInterrupt"] if sampled else []
        )


def test_an_interrupt_after_a_produce_without_report_loses_no_span(
    configuration: dict[str, Any], topic: str, spans: Spans, interrupt_end: Any
) -> None:
    producer = mqtrace.wrap(Producer)({**configuration, "delivery.report.only.error": True})
    interrupt_end(SendSpan)
    with pytest.raises(KeyboardInterrupt):
        producer.produce(topic, b"1")
    assert [span.attributes["error.type"] for span in spans] == ["KeyboardInterrupt"]


def test_a_handler_of_ones_own_interrupts_too_though_nobody_knows_with_what(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    def leave(number: int, frame: Any) -> None:
        raise SystemExit(7)

    producer = mqtrace.wrap(Producer(configuration))
    before = signal.signal(signal.SIGINT, leave)
    try:
        with pytest.raises(KeyboardInterrupt, match="a handler of a signal raised"):
            producer.produce(topic, b"1", partition=INTERRUPTING)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_header_key_that_is_no_string_is_the_clients_error(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise ValueError

    producer = mqtrace.wrap(Producer(configuration))
    key: Any = Unreadable()
    with pytest.raises(TypeError, match="header key"):
        producer.produce(topic, b"1", headers=[(key, b"1")])


def test_other_errors_of_a_report_are_left_alone(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    def report(error: Any, message: Any) -> None:
        raise SystemError("mine")

    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"1", on_delivery=report)
    with pytest.raises(SystemError, match="mine"):
        producer.flush(timeout=10)


def test_a_message_that_is_not_delivered_is_an_error(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer)({**configuration, "bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 50})
    producer.produce(topic, b"1")
    producer.flush(5)
    (span,) = spans
    assert span.status == "error"
    assert span.attributes["error.type"] == "_MSG_TIMED_OUT"


def test_a_successful_send_that_is_never_reported_ends_at_the_call(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer)({**configuration, "delivery.report.only.error": True})
    producer.produce(topic, b"1")
    assert len(spans) == 1
    producer.flush(10)
    assert [span.status for span in spans] == ["unset"]


def test_purged_messages_end_with_their_error(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer)({**configuration, "linger.ms": 60_000})
    producer.produce(topic, b"1")
    producer.purge()
    producer.flush(5)
    assert [span.attributes["error.type"] for span in spans] == ["_PURGE_QUEUE"]


def test_a_producer_that_is_dropped_takes_no_span_with_it(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer)({**configuration, "bootstrap.servers": "127.0.0.1:1", "linger.ms": 60_000})
    producer.produce(topic, b"1")
    producer.purge()
    del producer
    gc.collect()
    assert [span.attributes["error.type"] for span in spans] == ["no_delivery_report"]


def test_spans_do_not_pile_up_where_nobody_polls(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    for _ in range(3000):
        producer.produce(topic, b"1")
    (holder,) = spans.tracer.pending_owners
    holder.expire()  # what the worker calls
    assert not spans
    object.__setattr__(spans.tracer.settings, "report_timeout", 0.0)
    holder.expire()
    assert len(spans) == 3000
    producer.flush(10)
    assert len(spans) == 3000


def test_shutdown_ends_what_waits_for_a_report(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"1")
    assert mqtrace.shutdown()
    assert len(spans) == 1
    producer.flush(10)
    assert len(spans) == 1


def test_reports_that_are_polled_leave_nothing_behind(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer(configuration))
    for _ in range(5):
        for _ in range(1000):
            producer.produce(topic, b"1")
        producer.flush(10)
    assert len(spans) == 5000
    assert len(mqtrace.unwrap(producer)) == 0
    assert len(producer._mqtrace.pending.spans) <= 2048  # type: ignore[attr-defined]  # ours


def test_a_transaction_works_as_before(configuration: dict[str, Any], topic: str, read: Any, spans: Spans) -> None:
    producer = mqtrace.wrap(Producer)({**configuration, "transactional.id": topic})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"1")
    producer.commit_transaction(10)
    producer.begin_transaction()
    producer.produce(topic, b"2")
    producer.abort_transaction(10)
    producer.flush(5)
    assert spans[0].status == "unset"
    assert len(spans) == 2


# ---------------------------------------------------------------------- batches


def test_a_batch_has_a_context_for_each_message_and_one_send_span(
    configuration: dict[str, Any], topic: str, read: Any, spans: Spans
) -> None:
    producer = mqtrace.wrap(Producer)(configuration)
    reports: list[Any] = []

    def report(error: Any, message: Any) -> None:
        reports.append(message.value())

    messages: list[dict[str, Any]] = [
        {"value": b"1"},
        {"value": "2", "callback": report},
        {"key": b"k", "partition": 1},
    ]
    kept = [dict(message) for message in messages]
    assert producer.produce_batch(topic, messages, partition=2) == 3
    producer.flush(10)
    assert messages == kept
    assert reports == [b"2"]
    (sending,) = [span for span in spans if span.kind == "client"]
    created = [span for span in spans if span.kind == "producer"]
    assert sending.name == f"send {topic}"
    assert sending.attributes["messaging.batch.message_count"] == 3
    assert {link.context.span_id for link in sending.links} == {span.span_id for span in created}
    assert not any(link.remote for link in sending.links)
    assert {span.name for span in created} == {f"create {topic}"}
    sent = {dict(message.headers())["traceparent"][36:52].decode() for message in read(topic, 3)}
    assert sent == {span.span_id for span in created}


def test_an_interrupt_while_the_headers_of_a_batch_are_read_is_one(configuration: dict[str, Any], topic: str) -> None:
    message = {"value": b"1", "partition": INTERRUPTING}
    with pytest.raises(KeyboardInterrupt):
        batches.produce(Producer(configuration).produce, topic, message, -1, None, [("traceparent", b"00")])


def test_a_message_of_a_batch_that_is_refused_says_so(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    options = {**configuration, "queue.buffering.max.messages": 1, "linger.ms": 5000}
    outcomes: list[Any] = []
    for producer in (Producer(options), mqtrace.wrap(Producer)(options)):
        messages: list[dict[str, Any]] = [{"value": b"1"}, {"value": b"2"}]
        outcomes.append((producer.produce_batch(topic, messages), [str(m.get("_error")) for m in messages]))
        producer.flush(10)
    assert outcomes[0][0] == outcomes[1][0] == 1
    assert outcomes[0][1][0] == outcomes[1][1][0] == "None"
    assert "_QUEUE_FULL" in outcomes[1][1][1]
    (sending,) = [span for span in spans if span.kind == "client"]
    assert sending.status == "error"


@pytest.mark.parametrize("messages", [7, [7], [{"value": 7}], [{"timestamp": 1}], [{"partition": "1"}], []])
def test_a_batch_that_the_client_refuses_it_refuses_itself(
    configuration: dict[str, Any], topic: str, spans: Spans, messages: Any
) -> None:
    outcomes: list[Any] = []
    for producer in (Producer(configuration), mqtrace.wrap(Producer)(configuration)):
        try:
            outcomes.append(producer.produce_batch(topic, messages))
        except Exception as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]
    assert not spans


# ---------------------------------------------------------------------- samplers that write, forks


@pytest.mark.parametrize("headers", [None, [("a", b"1")], {"a": b"1"}])
def test_the_threshold_of_a_sampler_goes_along(
    configuration: dict[str, Any], topic: str, read: Any, headers: Any
) -> None:
    sampler = mqtrace.sampling.Probability(0.999999)
    with record("shop", sampler=sampler) as spans:
        producer = mqtrace.wrap(Producer(configuration))
        producer.produce(topic, b"v", headers=headers)
        producer.flush(10)
        (message,) = read(topic, 1)
        with mqtrace.process(message) as span:
            pass
    said = dict(message.headers())
    assert said["tracestate"].decode() == sampler.state == span.trace_state
    assert said["traceparent"][36:52].decode() == spans[0].span_id == span.parent_id


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_what_waits_for_a_report_stays_with_the_parent_of_a_fork(
    configuration: dict[str, Any], topic: str, spans: Spans
) -> None:
    """FAULTS 15."""
    producer = mqtrace.wrap(Producer(configuration))
    producer.produce(topic, b"v")
    (holder,) = spans.tracer.pending_owners
    child = os.fork()
    if child == 0:
        holder.release(spans.tracer)
        os._exit(len(spans))
    assert os.waitpid(child, 0)[1] == 0
    producer.flush(10)
    assert len(spans) == 1


def test_a_producer_made_before_configure_ends_its_spans_at_the_shutdown_of_a_later_tracer(
    configuration: dict[str, Any], topic: str
) -> None:
    producer = mqtrace.wrap(Producer({**configuration, "linger.ms": 60_000}))
    with record("later") as spans:
        producer.produce(topic, b"v")
        spans.tracer.shutdown()
    assert len(spans) == 1
    producer.purge()
    producer.flush(5)


def test_without_a_trace_no_header_is_made_up(configuration: dict[str, Any], topic: str, read: Any) -> None:
    with record("shop", rules={"*": "ignore"}):
        producer = mqtrace.wrap(Producer(configuration))
        producer.produce(topic, b"1", partition=0, headers=[("a", b"1")])
        with mqtrace.use(mqtrace.Context()):
            producer.produce(topic, b"2", partition=0, headers=[("a", b"1")])
        with mqtrace.use(mqtrace.Context().with_baggage(k="v")):
            producer.produce(topic, b"3", partition=0, headers=[("a", b"1")])
        producer.flush(10)
    first, second, third = read(topic, 3)
    assert first.headers() == second.headers() == [("a", b"1")]
    assert third.headers() == [("a", b"1"), ("baggage", b"k=v")]


def test_the_broker_is_asked_nothing_on_the_way(configuration: dict[str, Any], topic: str, spans: Spans) -> None:
    """FAULTS 6."""
    asked: list[str] = []

    class Watched(Producer):
        def list_topics(self, *arguments: Any, **named: Any) -> Any:
            asked.append("list_topics")
            return super().list_topics(*arguments, **named)

        def cluster_id(self, *arguments: Any, **named: Any) -> Any:
            asked.append("cluster_id")
            return super().cluster_id(*arguments, **named)

    # nobody answers there: whoever asks, waits
    producer = mqtrace.wrap(Watched)({**configuration, "bootstrap.servers": "127.0.0.1:1"})
    began = time.monotonic()
    for _ in range(100):
        producer.produce(topic, b"v")
    assert time.monotonic() - began < 0.5
    assert asked == []
    producer.purge()
    producer.flush(5)


@pytest.mark.parametrize(("sampler", "propagators"), [(0.0, "none"), (1.0, "none"), (0.0, None)])
def test_a_batch_is_the_clients_own_call_where_nothing_is_written(
    configuration: dict[str, Any], topic: str, read: Any, sampler: float, propagators: str | None
) -> None:
    messages = [{"value": str(number).encode()} for number in range(3)]
    with record("shop", sampler=sampler, propagators=propagators) as spans:
        producer = mqtrace.wrap(Producer)(configuration)
        assert producer.produce_batch(topic, messages) == 3
        producer.flush(10)
    found = read(topic, 3)
    assert sorted(message.value() for message in found) == [b"0", b"1", b"2"]
    contexts = {dict(message.headers() or []).get("traceparent") for message in found}
    assert [span.kind for span in spans] == ["client"] * int(sampler)
    if propagators is None:  # one context for all of them, which says that nothing of them is recorded
        (context,) = contexts
        assert context is not None
        assert context.endswith(b"-02")
    else:
        assert contexts == {None}
