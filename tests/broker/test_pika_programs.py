"""pika on a real RabbitMQ, as whole programs use it: threads, asyncio, generators, connections that end."""

from __future__ import annotations

import asyncio
import functools
import queue as queues
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest
from pika import exceptions
from pika.adapters.asyncio_connection import AsyncioConnection  # type: ignore[import-untyped]  # as above

import mqtrace
from mqtrace.testing import Spans, record

NO_TRACE = "0" * 32


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


def drain(connection: Any, until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline, "nothing came within 20 s"
        connection.process_data_events(0.05)


# ---------------------------------------------------------------------- the channel itself


def test_a_channel_that_is_closed_by_its_block(connection: Any, spans: Spans) -> None:
    with mqtrace.wrap(connection.channel()) as channel:
        name = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", name, b"")
        with mqtrace.process(channel.basic_get(name)) as span:
            channel.basic_ack(1)
        assert channel.is_open
        assert channel.connection is connection
    assert channel.is_closed
    assert span.attributes["mqtrace.outcome"] == "ack"
    with pytest.raises(exceptions.ChannelWrongStateError):
        with mqtrace.wrap(connection.channel()) as channel:
            channel.close()
            channel.basic_publish("", name, b"")
    assert spans[-1].attributes["error.type"] == "pika.exceptions.ChannelWrongStateError"


def test_a_returned_message_reaches_its_callback_with_the_wrapped_channel(
    connection: Any, channel: Any, spans: Spans
) -> None:
    returned: list[Any] = []
    channel.add_on_return_callback(lambda *arguments: returned.append(arguments))
    channel.basic_publish("", "no such queue", b"body", mandatory=True)
    drain(connection, lambda: returned)
    assert returned[0][0] is channel
    assert returned[0][1].reply_code == 312
    assert returned[0][3] == b"body"


def test_a_transaction_goes_through(connection: Any, channel: Any, queue: str, spans: Spans) -> None:
    channel.tx_select()
    channel.basic_publish("", queue, b"")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"")
    channel.tx_commit()
    assert channel.queue_declare(queue, passive=True).method.message_count == 1
    assert len(spans) == 2


def test_a_consumer_that_the_broker_cancels(connection: Any, channel: Any, spans: Spans) -> None:
    cancelled: list[Any] = []
    name = channel.queue_declare("").method.queue
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume(name, lambda *_: None)
    channel.queue_delete(name)
    drain(connection, lambda: cancelled)
    assert channel.is_open
    assert mqtrace.current_span().trace_id == NO_TRACE


# ---------------------------------------------------------------------- consuming


def test_start_consuming_until_the_callback_stops_it(channel: Any, queue: str, spans: Spans) -> None:
    class Shop:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def handle(self, tenant: str, given: Any, method: Any, properties: Any, body: bytes) -> None:
            self.seen.append(f"{tenant} {body.decode()}")
            given.basic_ack(method.delivery_tag)
            if len(self.seen) == 3:
                given.stop_consuming()

    shop = Shop()
    for number in range(3):
        channel.basic_publish("", queue, str(number).encode())
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, functools.partial(shop.handle, "acme"))
    channel.start_consuming()
    assert shop.seen == ["acme 0", "acme 1", "acme 2"]
    assert [span.attributes.get("mqtrace.outcome") for span in spans] == [None] * 3 + ["ack"] * 3
    assert [span.parent_id for span in spans[3:]] == [span.span_id for span in spans[:3]]


def test_a_loop_over_consume_that_breaks_and_is_cancelled(
    connection: Any, channel: Any, queue: str, spans: Spans
) -> None:
    for _ in range(3):
        channel.basic_publish("", queue, b"")
    for method, _, _ in mqtrace.each(channel.consume(queue)):
        assert mqtrace.current_span().is_recording()
        channel.basic_ack(method.delivery_tag)
        break
    assert mqtrace.current_span().trace_id == NO_TRACE
    channel.cancel()
    drain(connection, lambda: channel.queue_declare(queue, passive=True).method.message_count == 2)
    with pytest.raises(ValueError, match="no stock"):
        for message in channel.consume(queue):
            with mqtrace.process(message):
                raise ValueError("no stock")
    assert [span.status for span in spans[3:]] == ["unset", "error"]
    assert mqtrace.current_span().trace_id == NO_TRACE


@pytest.mark.parametrize("settle", ["ack", "nack", "nack and requeue", "all of them"])
def test_several_messages_are_settled_at_once(connection: Any, channel: Any, queue: str, settle: str) -> None:
    kept: list[Any] = []

    def handle(given: Any, method: Any, properties: Any, body: Any) -> None:
        kept.append(method)
        if len(kept) < 3:
            return
        if settle == "ack":
            given.basic_ack(method.delivery_tag, multiple=True)
        elif settle == "all of them":
            given.basic_ack(0, multiple=True)
        else:
            given.basic_nack(method.delivery_tag, multiple=True, requeue=settle.endswith("requeue"))

    with record(settle_spans=True) as spans:
        tag = channel.basic_consume(queue, handle)
        for _ in range(3):
            channel.basic_publish("", queue, b"")
        drain(connection, lambda: len(kept) >= 3)
        channel.basic_cancel(tag)
        sends, runs = spans.named(f"send {queue}"), spans.named(f"process {queue}")
        (settled,) = spans.named(f"{settle.partition(' ')[0] if settle != 'all of them' else 'ack'} {queue}")
        assert settled.attributes["messaging.batch.message_count"] == 3
        assert settled.parent_id == runs[2].span_id
        assert [link.context.span_id for link in settled.links] == [send.span_id for send in sends]
        # the two others had ended by then
        outcome = {"nack": "nack", "nack and requeue": "requeue"}.get(settle, "ack")
        assert [run.attributes.get("mqtrace.outcome") for run in runs[:3]] == [None, None, outcome]


def test_receive_spans_on_request(channel: Any, queue: str) -> None:
    with record(receive_spans=True) as spans:
        channel.basic_publish("", queue, b"")
        message = channel.basic_get(queue, auto_ack=True)
        channel.basic_get(queue)
        with mqtrace.process(message):
            pass
        send, receive, process = spans
        assert (receive.name, receive.kind) == (f"receive {queue}", "client")
        assert [link.context.span_id for link in receive.links] == [send.span_id]
        assert process.parent_id == send.span_id


# ---------------------------------------------------------------------- threads


def test_a_pool_of_threads_acknowledges_in_the_connections_own(connection: Any, channel: Any, queue: str) -> None:
    """As in pika's example basic_consumer_threaded; each message is worked on in a span of its own."""
    waiting: queues.Queue[Any] = queues.Queue()
    published: list[bytes] = []

    @mqtrace.consumer
    def work(given: Any, method: Any, properties: Any, body: bytes) -> None:
        time.sleep(0.01)
        span = mqtrace.current_span()
        span.set_attribute("body", body.decode())
        publish = functools.partial(given.basic_publish, "", "nowhere", body)
        connection.add_callback_threadsafe(functools.partial(given.basic_ack, method.delivery_tag))
        connection.add_callback_threadsafe(lambda: below(span, publish))

    def below(span: Any, call: Callable[[], Any]) -> None:
        with mqtrace.use(span):
            call()
        published.append(b"")

    def loop() -> None:
        while (arguments := waiting.get()) is not None:
            work(*arguments)

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    with record(settle_spans=True) as spans:
        channel.basic_consume(queue, lambda *arguments: waiting.put(arguments))
        for number in range(20):
            channel.basic_publish("", queue, str(number).encode())
        drain(connection, lambda: len(published) == 20)
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join(10)
        sends = {span.span_id: span for span in spans.named(f"send {queue}")}
        works = [span for span in spans if "body" in span.attributes]
        assert len(works) == len(sends) == 20
        assert {span.parent_id for span in works} == sends.keys()
        above = {span.span_id for span in works}
        assert {span.parent_id for span in spans.named("send nowhere")} == above
        acks = spans.named(f"ack {queue}")
        assert len(acks) == 20
        assert {span.parent_id for span in acks} == above
    assert channel.queue_declare(queue, passive=True).method.message_count == 0


def test_a_connection_in_each_thread_keeps_its_contexts(rabbitmq_url: str, spans: Spans) -> None:
    """FAULTS 11."""
    name = f"queue-{uuid.uuid4().hex[:12]}"

    def handle(given: Any, method: Any, properties: Any, body: bytes) -> None:
        time.sleep(0.002)
        given.basic_publish("", "nowhere", body, pika.BasicProperties(correlation_id=body.decode()))
        given.basic_ack(method.delivery_tag)

    def serve() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
        channel = mqtrace.wrap(connection.channel())
        channel.basic_qos(prefetch_count=2)
        channel.basic_consume(name, handle)
        drain(connection, lambda: len(spans.named("send nowhere")) == 40)
        connection.close()

    with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
        channel = mqtrace.wrap(connection.channel())
        channel.queue_declare(name)
        for number in range(40):
            channel.basic_publish("", name, str(number).encode(), pika.BasicProperties(correlation_id=str(number)))
        threads = [threading.Thread(target=serve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        channel.queue_delete(name)
    said = "messaging.message.conversation_id"
    sends = {span.attributes[said]: span.span_id for span in spans.named(f"send {name}")}
    runs = {span.span_id: span for span in spans.named(f"process {name}")}
    assert len(runs) == 40
    for onward in spans.named("send nowhere"):
        run = runs[onward.parent_id or ""]
        assert onward.attributes[said] == run.attributes[said]
        assert run.parent_id == sends[run.attributes[said]]


# ---------------------------------------------------------------------- asyncio


def test_an_asyncio_connection_and_tasks_that_its_callbacks_start(rabbitmq_url: str, spans: Spans) -> None:
    """FAULTS 11: a callback returns at once, what it started goes on in its message's context."""
    name = f"queue-{uuid.uuid4().hex[:12]}"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        tasks: list[asyncio.Task[None]] = []
        answers: list[Any] = []

        def opened(raw: Any) -> None:
            channel = mqtrace.wrap(raw)
            channel.confirm_delivery(answers.append, callback=lambda _: declare(channel))

        def declare(channel: Any) -> None:
            channel.queue_declare(name, exclusive=True, callback=lambda _: consume(channel))

        def consume(channel: Any) -> None:
            channel.basic_consume(name, handle, callback=lambda _: publish(channel))

        def publish(channel: Any) -> None:
            for number in range(10):
                channel.basic_publish("", name, b"", pika.BasicProperties(correlation_id=str(number)))

        def handle(channel: Any, method: Any, properties: Any, body: Any) -> None:
            tasks.append(loop.create_task(work(channel, method, properties)))

        async def work(channel: Any, method: Any, properties: Any) -> None:
            for _ in range(3):
                await asyncio.sleep(0.001)
            channel.basic_publish("", "nowhere", b"", pika.BasicProperties(correlation_id=properties.correlation_id))
            channel.basic_ack(method.delivery_tag)
            if len(tasks) == 10 and all(task.done() for task in tasks if task is not asyncio.current_task()):
                loop.call_later(0.5, end, channel)

        def end(channel: Any) -> None:
            for tag in channel.consumer_tags:  # pika 1.4.0 cannot close a channel that has consumers
                channel.basic_cancel(tag)
            connection.close()

        connection = AsyncioConnection(
            pika.URLParameters(rabbitmq_url),
            on_open_callback=lambda made: made.channel(on_open_callback=opened),
            on_close_callback=lambda made, reason: done.set_result(None),
        )
        await asyncio.wait_for(done, 20)
        assert mqtrace.current_span().trace_id == NO_TRACE

    asyncio.run(main())
    said = "messaging.message.conversation_id"
    runs = {span.span_id: span for span in spans.named(f"process {name}")}
    onward = spans.named("send nowhere")
    assert len(runs) == len(onward) == 10
    for span in onward:
        assert span.attributes[said] == runs[span.parent_id or ""].attributes[said]
        assert span.status == "unset"
    assert len(spans.named(f"send {name}")) == 10


# ---------------------------------------------------------------------- the end of a connection


def test_what_was_waiting_for_confirms_when_the_connection_closed_has_ended(rabbitmq_url: str, spans: Spans) -> None:
    def opened(raw: Any) -> None:
        channel = mqtrace.wrap(raw)
        channel.confirm_delivery(lambda _: None)
        for _ in range(100):
            channel.basic_publish("", "nowhere", b"")
        channel.connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(rabbitmq_url),
        on_open_callback=lambda made: made.channel(on_open_callback=opened),
        on_close_callback=lambda made, reason: made.ioloop.stop(),
    )
    connection.ioloop.call_later(20, connection.ioloop.stop)
    connection.ioloop.start()
    assert len(spans) == 100
    assert {span.attributes.get("error.type") for span in spans} <= {None, "no_confirm"}


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_the_process_in_a_callback_leaves_start_consuming_as_it_is(
    channel: Any, queue: str, spans: Spans, error: BaseException
) -> None:
    def handle(*_: Any) -> None:
        raise error

    channel.basic_publish("", queue, b"")
    channel.basic_consume(queue, handle)
    with pytest.raises(type(error)) as raised:
        channel.start_consuming()
    assert raised.value is error
    assert spans[-1].attributes["error.type"] == type(error).__name__
    assert mqtrace.current_span().trace_id == NO_TRACE
