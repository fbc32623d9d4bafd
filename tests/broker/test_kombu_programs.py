"""kombu as whole programs use it: mixins, pools in threads, retries over a lost connection, what cannot be decoded."""

from __future__ import annotations

import importlib
import logging
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mqtrace
from mqtrace.testing import Spans, record

# kombu says that it is typed, and most of it is not.
kombu: Any = importlib.import_module("kombu")
pools: Any = importlib.import_module("kombu.pools")
mixins: Any = importlib.import_module("kombu.mixins")
exceptions: Any = importlib.import_module("kombu.exceptions")

NO_TRACE = "0" * 32


@pytest.fixture(params=["rabbitmq", "redis", "memory", "filesystem"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    options: dict[str, Any] = {}
    if request.param == "filesystem":
        folder = str(tmp_path)
        url, options = "filesystem://", {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}
    else:
        url = "memory://" if request.param == "memory" else request.getfixturevalue(f"{request.param}_url")
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
    made.declare()
    yield made
    made.delete()
    made.exchange.delete()


def send(connection: Any, queue: Any, body: Any = "body", **named: Any) -> None:
    producer = mqtrace.wrap(kombu.Producer(connection, exchange=queue.exchange, routing_key="key"))
    producer.publish(body, **named)


def drain(connection: Any, consumer: Any, until: Any) -> None:
    with consumer:
        for _ in range(100):
            if until():
                return
            try:
                connection.drain_events(timeout=0.2)
            except TimeoutError:
                pass
    raise AssertionError("nothing came within 20 s")


# ---------------------------------------------------------------------- mixins


def test_a_consumer_mixin_goes_on_over_a_lost_connection(rabbitmq_url: str, spans: Spans) -> None:
    """The message that was at work comes back, in the same trace."""
    queue = kombu.Queue(f"queue-{uuid.uuid4().hex[:8]}")

    class Worker(mixins.ConsumerMixin):  # type: ignore[misc]  # as above
        def __init__(self, connection: Any) -> None:
            self.connection = connection
            self.seen: list[Any] = []

        def get_consumers(self, Consumer: Any, channel: Any) -> Any:
            return [mqtrace.wrap(Consumer(queues=[queue], callbacks=[self.handle], prefetch_count=1))]

        def handle(self, body: Any, message: Any) -> None:
            self.seen.append(mqtrace.current_span())
            if len(self.seen) == 1:
                message.channel.connection.transport.sock.shutdown(socket.SHUT_RDWR)
                return
            message.ack()
            self.should_stop = True

    with kombu.Connection(rabbitmq_url) as publisher:
        mqtrace.wrap(kombu.Producer(publisher)).publish("body", routing_key=queue.name, declare=[queue])
        with kombu.Connection(rabbitmq_url) as connection:
            worker = Worker(connection)
            worker.run()
        queue(publisher.default_channel).delete()
    sent, first, second = spans
    assert worker.seen == [first, second]
    assert first.parent_id == second.parent_id == sent.span_id
    assert "mqtrace.outcome" not in first.attributes
    assert second.attributes["mqtrace.outcome"] == "ack"
    assert second.attributes["mqtrace.redelivered"] is True
    assert mqtrace.current_span().trace_id == NO_TRACE


def test_a_mixin_that_consumes_and_answers(connection: Any, queue: Any, spans: Spans) -> None:
    class Worker(mixins.ConsumerProducerMixin):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            self.connection = connection

        def get_consumers(self, Consumer: Any, channel: Any) -> Any:
            return [mqtrace.wrap(Consumer(queues=[queue], on_message=self.handle))]

        def handle(self, message: Any) -> None:
            to = message.properties["reply_to"]
            answer = {"correlation_id": message.properties["correlation_id"], "retry": True}
            mqtrace.wrap(self.producer).publish("answer", exchange="", routing_key=to, **answer)
            message.ack()
            self.should_stop = True

    with connection.SimpleQueue(f"replies-{uuid.uuid4().hex[:8]}") as replies:
        send(connection, queue, reply_to=replies.queue.name, correlation_id="call-1")
        for _ in Worker().consume(timeout=10):
            pass
        message = mqtrace.wrap(replies).get(timeout=10)
        with mqtrace.process(message):
            message.ack()
    assert len({span.trace_id for span in spans}) == 1
    assert len(spans) == 4
    assert {span.attributes["messaging.message.conversation_id"] for span in spans} == {"call-1"}


# ---------------------------------------------------------------------- sending


def test_a_publish_that_is_retried_over_a_lost_connection_has_one_span(rabbitmq: Any, spans: Spans) -> None:
    queue = kombu.Queue(f"queue-{uuid.uuid4().hex[:8]}")
    producer = mqtrace.wrap(kombu.Producer(rabbitmq))
    producer.publish("one", routing_key=queue.name, declare=[queue], retry=True)
    rabbitmq.connection.transport.sock.shutdown(socket.SHUT_RDWR)
    failed: list[Any] = []
    policy = {"max_retries": 3, "interval_start": 0, "errback": lambda error, _: failed.append(error)}
    for _ in range(2):
        producer.publish("two", routing_key=queue.name, declare=[queue], retry=True, retry_policy=policy)
    assert failed, "the connection was lost"
    assert [span.status for span in spans] == ["unset"] * 3
    bound = queue(rabbitmq.default_channel)
    contexts = set()
    while (message := bound.get(no_ack=True)) is not None:
        contexts.add(message.headers["traceparent"].split("-")[2])
    assert contexts <= {span.span_id for span in spans}
    assert len(contexts) >= 2
    bound.delete()


def test_a_broker_that_is_not_there_ends_the_span_with_the_error(spans: Spans) -> None:
    with kombu.Connection("amqp://127.0.0.1:1//", transport_options={"max_retries": 1}) as connection:
        producer = mqtrace.wrap(kombu.Producer(connection))
        with spans.tracer.start_span("web") as web:
            with pytest.raises(exceptions.OperationalError):
                policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
                producer.publish("body", routing_key="orders", retry=True, retry_policy=policy)
            assert mqtrace.current_span() is web
    assert (spans[0].name, spans[0].status, spans[0].parent_id) == ("send orders", "error", web.span_id)
    assert spans[0].attributes["error.type"] == "kombu.exceptions.OperationalError"
    assert spans[0].attributes["server.port"] == 1


@pytest.mark.parametrize("connection", ["rabbitmq", "redis"], indirect=True)
def test_a_pool_of_producers_in_threads_keeps_contexts_apart(connection: Any, queue: Any, spans: Spans) -> None:
    """FAULTS 11."""

    def work(number: int) -> None:
        with spans.tracer.start_span(f"work {number}"):
            for _ in range(5):
                with pools.producers[connection].acquire(block=True, timeout=10) as pooled:
                    mqtrace.wrap(pooled).publish(number, exchange=queue.exchange, routing_key="key", retry=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    seen: list[tuple[int, str]] = []

    def handle(body: Any, message: Any) -> None:
        seen.append((body, mqtrace.current_span().trace_id))
        message.ack()

    drain(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle])), lambda: len(seen) == 30)
    traces = {number: spans.named(f"work {number}")[0].trace_id for number in range(6)}
    assert set(seen) == set(traces.items())
    pools.reset()


# ---------------------------------------------------------------------- what a message turns out to be


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("wrong", ["pickled", "no json"])
def test_what_cannot_be_decoded_is_kombus_business(
    connection: Any, queue: Any, spans: Spans, wrong: str, told: bool
) -> None:
    if wrong == "pickled":
        send(connection, queue, {"a": 1}, serializer="pickle")
        error = exceptions.ContentDisallowed
    else:
        send(connection, queue, "{", content_type="application/json", content_encoding="utf-8")
        error = exceptions.DecodeError
    seen: list[Any] = []
    consumer = mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[seen.append], accept=["json"]))
    refused: list[Any] = []

    def refuse(message: Any, reason: BaseException) -> None:
        refused.append((message, reason, mqtrace.current_span().trace_id))
        message.reject()

    if told:
        consumer.on_decode_error = refuse
        drain(connection, consumer, lambda: refused)
        message, reason, trace = refused[0]
        assert isinstance(reason, error)
        assert trace == NO_TRACE
        assert message.headers["traceparent"].split("-")[2] == spans[0].span_id
    else:
        with pytest.raises(error):
            drain(connection, consumer, lambda: seen)
    assert not seen
    assert len(spans) == 1
    assert mqtrace.current_span().trace_id == NO_TRACE


def test_a_body_that_a_handler_decodes_itself_fails_in_its_span(connection: Any, queue: Any, spans: Spans) -> None:
    send(connection, queue, "{", content_type="application/json", content_encoding="utf-8")

    def handle(message: Any) -> None:
        message.reject()
        message.decode()

    with pytest.raises(exceptions.DecodeError) as raised:
        drain(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], on_message=handle)), lambda: False)
    assert spans[1].attributes["error.type"] == "kombu.exceptions.DecodeError"
    assert spans[1].status_description == str(raised.value)
    assert spans[1].attributes["mqtrace.outcome"] == "reject"


@pytest.mark.parametrize(
    ("settle", "outcome"),
    [
        (lambda message: message.ack(), "ack"),
        (lambda message: message.ack(multiple=True), "ack"),
        (lambda message: message.ack_log_error(logging.getLogger(), (OSError,)), "ack"),
        (lambda message: message.reject(), "reject"),
        (lambda message: message.reject_log_error(logging.getLogger(), (OSError,)), "reject"),
        (lambda message: message.requeue(), "requeue"),
        (lambda message: message.reject(requeue=True), "requeue"),
        (lambda message: message.reject_log_error(logging.getLogger(), (OSError,), True), "requeue"),
    ],
)
@pytest.mark.parametrize("spans_for_it", [False, True])
def test_every_way_to_settle_a_message(
    connection: Any, queue: Any, settle: Any, outcome: str, spans_for_it: bool
) -> None:
    with record(settle_spans=spans_for_it) as spans:
        send(connection, queue)
        kept: list[Any] = []

        def handle(body: Any, message: Any) -> None:
            kept.append(message)
            if len(kept) == 1:
                settle(message)

        consumer = mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle]))
        drain(connection, consumer, lambda: kept)
        run = spans.named(f"process x-{queue.name}:key:{queue.name}")[0]
        assert run.attributes["mqtrace.outcome"] == outcome
        settled = [span for span in spans if span.attributes["messaging.operation.type"] == "settle"]
        assert [span.name.partition(" ")[0] for span in settled] in ([[outcome], ["reject"]] if spans_for_it else [[]])
        assert {span.parent_id for span in settled} <= {run.span_id}
        with pytest.raises(exceptions.MessageStateError):
            kept[0].ack()


def test_simple_queues_and_buffers(connection: Any, spans: Spans) -> None:
    for kind, outcome in ((connection.SimpleQueue, "ack"), (connection.SimpleBuffer, "auto")):
        name = f"simple-{uuid.uuid4().hex[:8]}"
        with mqtrace.wrap(kind(name)) as simple:
            assert isinstance(simple, type(mqtrace.unwrap(simple)))
            headers = {"mine": 1}
            simple.put({"a": 1}, headers=headers, priority=3)
            simple.put("two", "json", headers)
            assert headers == {"mine": 1}
            for message in mqtrace.each([simple.get(timeout=10), simple.get(block=True, timeout=10)]):
                assert message.headers["mine"] == 1
                assert mqtrace.current_span().trace_id == message.headers["traceparent"][3:35]
                if outcome == "ack":
                    message.ack()
            with pytest.raises(simple.Empty):
                simple.get(block=False)
        *sends, first, second = spans[-4:]
        assert {first.parent_id, second.parent_id} == {sent.span_id for sent in sends}, "files come in any order"
        name = f"{simple.queue.exchange.name}:{simple.queue.name}"
        assert [span.attributes["messaging.destination.name"] for span in spans[-4:]] == [name] * 4
        assert first.attributes["mqtrace.outcome"] == outcome


def test_baggage_and_a_users_own_context_go_through(connection: Any, queue: Any, spans: Spans) -> None:
    seen: list[Any] = []

    def handle(body: Any, message: Any) -> None:
        span = mqtrace.current_span()
        seen.append((body, span.trace_id, dict(span.baggage or {})))
        message.ack()

    theirs = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    with mqtrace.use(mqtrace.Context().with_baggage(user="ü 1")):
        send(connection, queue, 1)
        send(connection, queue, 2, headers={"traceparent": theirs})
    drain(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle])), lambda: len(seen) == 2)
    seen.sort(key=lambda one: one[0])  # files come in any order
    assert seen[0] == (1, spans[0].trace_id, {"user": "ü 1"})
    assert seen[1][:2] == (2, "ab" * 16)
    assert spans[1].kind == "client"
