"""pika on a real RabbitMQ."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest
from pika import exceptions

import mqtrace
from mqtrace.testing import Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-03"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record("shop") as recorded:
        yield recorded


@pytest.fixture
def connection(rabbitmq_url: str) -> Iterator[Any]:
    made = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    yield made
    if made.is_open:
        made.close()


@pytest.fixture
def channel(connection: Any) -> Any:
    return mqtrace.wrap(connection.channel())


@pytest.fixture
def queue(channel: Any) -> str:
    name = f"queue-{uuid.uuid4().hex[:12]}"
    channel.queue_declare(name, exclusive=True)
    return name


def drain(connection: Any, until: Callable[[], bool]) -> None:
    for _ in range(100):
        if until():
            return
        connection.process_data_events(0.1)
    raise AssertionError("nothing came within 10 s")


def test_a_trace_goes_through_a_queue(connection: Any, channel: Any, queue: str, spans: Spans) -> None:
    def handle(given: Any, method: Any, properties: Any, body: Any) -> None:
        seen.append((given is channel, properties, body))
        given.basic_ack(method.delivery_tag)

    seen: list[Any] = []
    channel.basic_consume(queue, handle)
    channel.basic_publish("", queue, b"hello", pika.BasicProperties(headers={"mine": 1}))
    drain(connection, lambda: bool(seen))
    send, process = spans
    assert process.parent_id == send.span_id
    assert process.attributes["mqtrace.outcome"] == "ack"
    assert process.attributes["messaging.destination.name"] == queue
    assert 0 <= process.attributes["messaging.message.receive.latency"] < 10_000  # type: ignore[operator]  # a float
    port = connection._impl.params.port
    for span in (send, process):
        assert span.attributes["server.port"] == port
        assert span.attributes["server.address"] == connection._impl.params.host
    assert seen[0][0] is True
    assert seen[0][1].headers["mine"] == 1
    assert seen[0][2] == b"hello"


def test_confirms_and_returned_messages(channel: Any, queue: str, spans: Spans) -> None:
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"", mandatory=True)
    with pytest.raises(exceptions.UnroutableError) as caught:
        channel.basic_publish("", "no such queue", b"body", mandatory=True)
    assert caught.value.messages[0].body == b"body"
    assert [span.status for span in spans] == ["unset", "error"]
    assert spans[1].attributes["error.type"] == "pika.exceptions.UnroutableError"


def test_a_refused_message_is_an_error(channel: Any, spans: Spans) -> None:
    channel.confirm_delivery()
    full = channel.queue_declare(
        "", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    ).method.queue
    channel.basic_publish("", full, b"")
    with pytest.raises(exceptions.NackError):
        channel.basic_publish("", full, b"")
    assert spans[-1].attributes["error.type"] == "pika.exceptions.NackError"


def test_a_closed_channel_is_an_error(channel: Any, queue: str, spans: Spans) -> None:
    channel.close()
    with pytest.raises(exceptions.ChannelWrongStateError):
        channel.basic_publish("", queue, b"")
    assert spans[-1].status == "error"


def test_basic_get_consume_each_and_batch(channel: Any, queue: str, spans: Spans) -> None:
    for _ in range(4):
        channel.basic_publish("", queue, b"")
    sends = list(spans)
    spans.clear()
    message = channel.basic_get(queue)
    with mqtrace.process(message):
        channel.basic_ack(message[0].delivery_tag)
    with mqtrace.batch([channel.basic_get(queue, auto_ack=True)]) as batch:
        assert len(batch.links) == 1
    for method, _, _ in mqtrace.each(channel.consume(queue, inactivity_timeout=5)):
        if method is None:
            break
        channel.basic_ack(method.delivery_tag)
        if len(spans) == 3:
            break
    channel.cancel()
    assert [span.attributes.get("mqtrace.outcome") for span in spans] == ["ack", None, "ack", "ack"]
    assert [span.parent_id for span in spans if span is not batch] == [
        sends[0].span_id,
        sends[2].span_id,
        sends[3].span_id,
    ]
    assert channel.basic_get(queue) == (None, None, None)


@pytest.mark.parametrize("sort", ["classic", "quorum"])
def test_a_dead_letter_keeps_its_trace(connection: Any, channel: Any, spans: Spans, sort: str) -> None:
    name = f"dead-{uuid.uuid4().hex[:12]}"
    arguments = {"x-queue-type": sort, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}-dlq"}
    channel.queue_declare(name, durable=True, arguments=arguments)
    channel.queue_declare(f"{name}-dlq", durable=True, arguments={"x-queue-type": sort})
    try:
        done: list[Any] = []
        channel.basic_consume(name, lambda given, method, *_: given.basic_reject(method.delivery_tag, requeue=False))
        channel.basic_consume(f"{name}-dlq", lambda *arguments: done.append(arguments), auto_ack=True)
        channel.basic_publish("", name, b"")
        drain(connection, lambda: bool(done))
        send, first, second = spans
        assert first.attributes["mqtrace.outcome"] == "reject"
        assert second.parent_id == first.parent_id == send.span_id
        assert second.attributes["mqtrace.dead_letter.count"] == 1
        assert second.attributes["mqtrace.dead_letter.reason"] == "rejected"
        assert second.attributes["mqtrace.dead_letter.queue"] == name
        assert second.attributes["mqtrace.outcome"] == "auto"
    finally:
        channel.queue_delete(name)
        channel.queue_delete(f"{name}-dlq")


@pytest.mark.parametrize("sort", ["classic", "quorum"])
def test_redelivery_is_told(connection: Any, channel: Any, spans: Spans, sort: str) -> None:
    name = f"again-{uuid.uuid4().hex[:12]}"
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": sort})
    try:

        def handle(given: Any, method: Any, *_: Any) -> None:
            if method.redelivered:
                given.basic_ack(method.delivery_tag)
            else:
                given.basic_nack(method.delivery_tag)

        channel.basic_consume(name, handle)
        channel.basic_publish("", name, b"")
        drain(connection, lambda: len(spans) == 3)
        _, first, second = spans
        assert first.attributes["mqtrace.outcome"] == "requeue"
        assert "mqtrace.redelivered" not in first.attributes
        assert second.attributes["mqtrace.outcome"] == "ack"
        assert second.attributes["mqtrace.redelivered"] is True
        assert second.attributes.get("mqtrace.delivery_count") == (1 if sort == "quorum" else None)
    finally:
        channel.queue_delete(name)


def test_every_amqp_type_arrives_as_it_was_sent(connection: Any, channel: Any, queue: str, spans: Spans) -> None:
    table = {
        "text": "é",
        "bytes": b"\xff\x00",
        "true": True,
        "int": -(1 << 40),
        "decimal": decimal.Decimal("3.14"),
        "time": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        "none": None,
        "list": [1, "two", {"three": [b"\xfe"]}],
        "table": {"deep": {"deeper": {"deepest": []}}},
    }
    seen: list[Any] = []
    channel.basic_consume(queue, lambda *arguments: seen.append(arguments[2].headers), auto_ack=True)
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers=table))
    raw = mqtrace.unwrap(channel)
    raw.basic_publish("", queue, b"", pika.BasicProperties(headers=table))
    drain(connection, lambda: len(seen) == 2)
    traced = {key: value for key, value in seen[0].items() if key not in ("traceparent", "tracestate")}
    assert traced == seen[1]


@pytest.mark.parametrize("value", [7, b"\xff\xfe", [TRACEPARENT], {"x": TRACEPARENT}, True, None, "nonsense"])
def test_a_malformed_context_does_not_keep_a_message(
    connection: Any, channel: Any, queue: str, spans: Spans, value: Any
) -> None:
    """FAULTS 2."""
    seen: list[Any] = []
    channel.basic_consume(queue, lambda *arguments: seen.append(arguments[2].headers), auto_ack=True)
    mqtrace.unwrap(channel).basic_publish("", queue, b"", pika.BasicProperties(headers={"traceparent": value}))
    drain(connection, lambda: bool(seen))
    assert seen == [{"traceparent": value}]
    assert spans[0].parent_id is None
    assert spans.tracer.stats()["contexts_malformed"] == 1


def test_a_call_and_its_reply_are_one_trace(connection: Any, channel: Any, queue: str, spans: Spans) -> None:
    def serve(given: Any, method: Any, properties: Any, body: Any) -> None:
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        given.basic_publish("", properties.reply_to, body[::-1], reply)

    replies: list[Any] = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda *arguments: replies.append(arguments[3]), auto_ack=True)
    channel.basic_consume(queue, serve, auto_ack=True)
    properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="call-7")
    channel.basic_publish("", queue, b"abc", properties)
    drain(connection, lambda: bool(replies))
    assert replies == [b"cba"]
    assert len(spans) == 4
    assert len({span.trace_id for span in spans}) == 1
    assert {span.attributes["messaging.message.conversation_id"] for span in spans} == {"call-7"}


def test_an_acknowledgement_from_another_thread(connection: Any, channel: Any, queue: str) -> None:
    def work(given: Any, method: Any, properties: Any, body: Any) -> None:
        connection.add_callback_threadsafe(functools.partial(given.basic_ack, method.delivery_tag))

    def handle(*arguments: Any) -> None:
        threading.Thread(target=work, args=arguments).start()

    with record(settle_spans=True) as spans:
        channel.basic_consume(queue, handle)
        channel.basic_publish("", queue, b"")
        drain(connection, lambda: len(spans) == 3)
        send, process, settle = spans
        assert settle.name == f"ack {queue}"
        assert settle.parent_id == process.span_id
        assert [link.context.span_id for link in settle.links] == [send.span_id]


class Forwarder:
    """A connection to the broker that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ends: list[socket.socket] = []
        self.broker = (host, port)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        near, _ = self.listener.accept()
        far = socket.create_connection(self.broker)
        self.ends = [near, far]
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def cut(self) -> None:
        for end in [*self.ends, self.listener]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_connection_lost_in_a_handler(rabbitmq_url: str, spans: Spans) -> None:
    parameters = pika.URLParameters(rabbitmq_url)
    forwarder = Forwarder(parameters.host, parameters.port)
    parameters.host, parameters.port = "127.0.0.1", forwarder.port
    connection = pika.BlockingConnection(parameters)
    channel = mqtrace.wrap(connection.channel())
    name = channel.queue_declare("", exclusive=True).method.queue

    def handle(given: Any, method: Any, *_: Any) -> None:
        forwarder.cut()
        connection.sleep(5)

    channel.basic_consume(name, handle)
    channel.basic_publish("", name, b"")
    with pytest.raises(exceptions.AMQPConnectionError):
        drain(connection, lambda: False)
    assert spans[-1].name == f"process {name}"
    assert spans[-1].status == "error"
    assert str(spans[-1].attributes["error.type"]).startswith("pika.exceptions.")
    assert mqtrace.current_span().trace_id == "0" * 32


def test_several_consumers_and_basic_cancel(connection: Any, channel: Any, spans: Spans) -> None:
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in range(3)]
    seen: list[str] = []
    tags = [channel.basic_consume(name, lambda *_, n=name: seen.append(n), auto_ack=True) for name in queues]
    channel.basic_cancel(tags[1])
    for name in queues:
        channel.basic_publish("", name, b"")
    drain(connection, lambda: len(seen) == 2)
    processed = {span.attributes["messaging.destination.name"] for span in spans if span.kind == "consumer"}
    assert processed == {queues[0], queues[2]}


def test_an_asynchronous_channel(rabbitmq_url: str, spans: Spans) -> None:
    seen: list[Any] = []
    answers: list[Any] = []
    wrapped: list[Any] = []
    name = f"queue-{uuid.uuid4().hex[:12]}"

    def opened(raw: Any) -> None:
        channel = mqtrace.wrap(raw)
        wrapped.append(channel)
        channel.confirm_delivery(lambda frame: finish(answers, frame.method), callback=lambda _: None)
        channel.queue_declare(name, exclusive=True, callback=lambda _: declared(channel))

    def declared(channel: Any) -> None:
        channel.basic_consume(name, handle, callback=lambda _: publish(channel))

    def publish(channel: Any) -> None:
        channel.basic_publish("", name, b"one", mandatory=True)
        channel.basic_publish("", "no such queue", b"two", mandatory=True)

    def handle(channel: Any, method: Any, properties: Any, body: Any) -> None:
        channel.basic_ack(method.delivery_tag)
        finish(seen, (channel, body))

    def finish(into: list[Any], what: Any) -> None:
        into.append(what)
        confirmed = any(answer.multiple or answer.delivery_tag == 2 for answer in answers)
        if seen and confirmed and connection.is_open:
            connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(rabbitmq_url),
        on_open_callback=lambda made: made.channel(on_open_callback=opened),
        on_close_callback=lambda made, reason: made.ioloop.stop(),
    )
    connection.ioloop.call_later(20, connection.ioloop.stop)
    connection.ioloop.start()
    assert seen == [(wrapped[0], b"one")]
    process = spans.named(f"process {name}")[0]
    (send,) = spans.named(f"send {name}")
    assert process.parent_id == send.span_id
    assert process.attributes["mqtrace.outcome"] == "ack"
    (lost,) = spans.named("send no such queue")
    assert lost.attributes["error.type"] == "pika.exceptions.UnroutableError"


def test_contexts_of_a_killed_connection_do_not_reach_the_next(rabbitmq_url: str, spans: Spans) -> None:
    """A message that was not acknowledged comes back, in the same trace, marked as redelivered."""
    parameters = pika.URLParameters(rabbitmq_url)
    name = f"queue-{uuid.uuid4().hex[:12]}"
    first = pika.BlockingConnection(parameters)
    channel = mqtrace.wrap(first.channel())
    channel.queue_declare(name)
    channel.basic_publish("", name, b"")
    with mqtrace.process(channel.basic_get(name)):
        pass
    first.close()
    second = pika.BlockingConnection(parameters)
    try:
        again = mqtrace.wrap(second.channel())
        with mqtrace.process(again.basic_get(name, auto_ack=True)):
            pass
        again.queue_delete(name)
    finally:
        second.close()
    send, one, two = spans
    assert one.parent_id == two.parent_id == send.span_id
    assert "mqtrace.outcome" not in one.attributes
    assert two.attributes["mqtrace.redelivered"] is True
