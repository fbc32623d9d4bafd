"""kombu on its memory transport: producers, consumers, simple queues."""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import uuid
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mqtrace
from mqtrace.clients.kombu.message import KombuSpan
from mqtrace.core import SendSpan
from mqtrace.testing import FakeClock, Spans, record

# kombu says that it is typed, and most of it is not.
kombu: Any = importlib.import_module("kombu")
producers: Any = importlib.import_module("kombu.pools").producers
ConsumerProducerMixin: Any = importlib.import_module("kombu.mixins").ConsumerProducerMixin
Message: Any = importlib.import_module("kombu.message").Message
serialization: Any = importlib.import_module("kombu.serialization")

TRACE = "a1" * 16
PARENT = "b2" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-03"
UNSAMPLED = f"00-{TRACE}-{PARENT}-02"


@pytest.fixture
def connection() -> Iterator[Any]:
    with kombu.Connection("memory://") as made:
        yield made


@pytest.fixture
def queue(connection: Any) -> Any:
    name = f"queue-{uuid.uuid4().hex[:8]}"
    made = kombu.Queue(name, kombu.Exchange("shop"), routing_key=f"key-{name}")
    return made(connection.default_channel)


@pytest.fixture
def producer(connection: Any) -> Any:
    return mqtrace.wrap(kombu.Producer(connection))


def publish(producer: Any, queue: Any, body: Any = "body", **named: Any) -> None:
    producer.publish(body, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue], **named)


def received(queue: Any) -> Any:
    """A message, read without any wrapping."""
    message = queue.get(no_ack=True)
    assert message is not None
    return message


def consume(connection: Any, consumer: Any, count: int = 1) -> None:
    with consumer:
        for _ in range(count):
            connection.drain_events(timeout=2)


# ---------------------------------------------------------------------- what wrapping gives


def test_wrapped_objects_are_what_they_were(connection: Any, queue: Any) -> None:
    for raw in (kombu.Producer(connection), kombu.Consumer(connection, [queue]), connection.SimpleQueue("simple")):
        wrapped = mqtrace.wrap(raw)
        assert isinstance(wrapped, type(raw))
        assert mqtrace.wrap(wrapped) is wrapped
        assert mqtrace.unwrap(wrapped) is raw
        assert wrapped.channel is raw.channel
    with pytest.raises(TypeError, match="SimpleQueue"):
        mqtrace.wrap(connection)
    with pytest.raises(mqtrace.ConfigurationError, match="kombu client has no options"):
        mqtrace.wrap(kombu.Producer(connection), group_id="x")


def test_classes_are_wrapped_like_objects(connection: Any, queue: Any, spans: Spans) -> None:
    """FAULTS 18."""
    Producer: Any = mqtrace.wrap(kombu.Producer)
    Consumer: Any = mqtrace.wrap(kombu.Consumer)
    assert mqtrace.wrap(Producer) is Producer
    assert mqtrace.wrap(kombu.Producer) is Producer
    assert mqtrace.unwrap(Producer) is kombu.Producer
    publish(Producer(connection), queue)
    consumer = Consumer(connection, [queue], callbacks=[lambda body, message: message.ack()])
    assert isinstance(consumer, kombu.Consumer)
    consume(connection, consumer)
    assert [span.kind for span in spans] == ["producer", "consumer"]


# ---------------------------------------------------------------------- publishing


def test_a_message_carries_the_context_of_its_send_span(producer: Any, queue: Any, spans: Spans) -> None:
    publish(producer, queue, {"a": 1}, headers={"mine": 2}, correlation_id="c", message_id="m")
    (span,) = spans
    assert span.name == f"send shop:{queue.routing_key}"
    assert span.kind == "producer"
    assert span.attributes == {
        "messaging.system": "memory",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"shop:{queue.routing_key}",
        "messaging.message.id": "m",
        "messaging.message.conversation_id": "c",
    }
    message = received(queue)
    assert message.payload == {"a": 1}
    assert message.headers == {
        "mine": 2,
        "traceparent": f"00-{span.trace_id}-{span.span_id}-03",
        "tracestate": f"mqtrace=t:{span.start_time // 1_000_000}",
    }


def test_arguments_go_by_position_and_by_keyword(producer: Any, queue: Any, spans: Spans) -> None:
    """FAULTS 5."""
    queue.declare()
    producer.publish("b", queue.routing_key, 1, False, False, 3, "text/plain", "utf-8", None, {"h": 1}, None, "shop")
    message = received(queue)
    assert message.headers["h"] == 1
    assert "traceparent" in message.headers
    assert message.properties["priority"] == 3
    assert message.content_type == "text/plain"
    with pytest.raises(TypeError):
        producer.publish("b", "k", 1, delivery_mode=2)
    with pytest.raises(TypeError):
        producer.publish()


def test_headers_of_the_user_are_not_changed(producer: Any, queue: Any, spans: Spans) -> None:
    """FAULTS 7."""
    headers = {"mine": 1}
    for _ in range(2):
        publish(producer, queue, headers=headers)
    assert headers == {"mine": 1}
    parents = [received(queue).headers["traceparent"] for _ in range(2)]
    assert parents == [f"00-{span.trace_id}-{span.span_id}-03" for span in spans]


def test_the_users_own_context_stays(producer: Any, queue: Any, spans: Spans) -> None:
    publish(producer, queue, headers={"traceparent": TRACEPARENT})
    assert received(queue).headers == {"traceparent": TRACEPARENT}
    assert spans[0].kind == "client"
    assert [link.context.trace_id for link in spans[0].links] == [TRACE]


def test_an_unsampled_trace_travels_without_a_span(producer: Any, queue: Any, spans: Spans) -> None:
    with mqtrace.use(mqtrace.Context(UNSAMPLED.encode())):
        publish(producer, queue)
    (name, sent), *more = received(queue).headers.items()
    assert (name, more) == ("traceparent", [])
    assert (sent[:36], sent[52:]) == (UNSAMPLED[:36], UNSAMPLED[52:])
    assert sent[36:52] != UNSAMPLED[36:52]
    assert not spans


def test_a_failed_publish_ends_its_span_and_leaves_nothing_current(producer: Any, queue: Any, spans: Spans) -> None:
    """FAULTS 12 on this client."""
    with pytest.raises(kombu.exceptions.EncodeError):
        publish(producer, queue, object(), serializer="json")
    assert spans[0].status == "error"
    assert str(spans[0].attributes["error.type"]).endswith("EncodeError")
    assert mqtrace.current_span().trace_id == "0" * 32


def test_retry_and_pools(connection: Any, queue: Any, spans: Spans) -> None:
    with producers[connection].acquire(block=True) as raw:
        publish(mqtrace.wrap(raw), queue, retry=True, retry_policy={"max_retries": 1})
    assert received(queue).headers["traceparent"].split("-")[2] == spans[0].span_id
    assert len(spans) == 1


# ---------------------------------------------------------------------- consuming


@pytest.mark.parametrize(
    ("settle", "outcome"),
    [
        (lambda message: message.ack(), "ack"),
        (lambda message: message.reject(), "reject"),
        (lambda message: message.requeue(), "requeue"),
        (lambda message: message.reject(requeue=True), "requeue"),
        (lambda message: message.reject(True), "requeue"),
        (lambda message: message.reject(requeue=False), "reject"),
        (lambda message: message.reject_log_error(None, (), requeue=True), "requeue"),
        (lambda message: None, None),
    ],
)
def test_callbacks_run_in_the_span_of_their_message(
    connection: Any, producer: Any, queue: Any, spans: Spans, settle: Any, outcome: str | None
) -> None:
    def handle(body: Any, message: Any) -> None:
        seen.append(mqtrace.current_span())
        if len(seen) == 2:
            settle(message)

    seen: list[Any] = []
    publish(producer, queue, correlation_id="c")
    consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle, handle])))
    send, process = spans
    assert seen == [process, process]
    assert process.name == f"process shop:{queue.routing_key}:{queue.name}"
    assert process.parent_id == send.span_id
    assert process.attributes["messaging.system"] == "memory"
    assert process.attributes["messaging.message.conversation_id"] == "c"
    assert process.attributes["messaging.message.receive.latency"] >= 0  # type: ignore[operator]  # a float
    assert process.attributes.get("mqtrace.outcome") == outcome
    assert process.trace_state == ""
    assert mqtrace.current_span().trace_id == "0" * 32


@pytest.mark.parametrize("settle_spans", [False, True])
def test_what_a_message_is_rejected_with_is_noted_and_the_call_stays_its_own(
    connection: Any, queue: Any, settle_spans: bool
) -> None:
    with record(settle_spans=settle_spans) as spans:
        publish(mqtrace.wrap(connection.Producer()), queue)
        message = queue.get(no_ack=False)
        with mqtrace.process(message) as first:
            with pytest.raises(TypeError):
                message.reject(no=True)
            message.reject(requeue=True)
            with pytest.raises(message.MessageStateError, match="REJECTED"):
                message.reject(requeue=False)
        again = queue.get(no_ack=False)
        with mqtrace.process(again) as second:
            reject = again.reject
        reject(requeue=False)
        assert again.acknowledged
    assert [span.attributes.get("mqtrace.outcome") for span in (first, second)] == ["requeue", None]
    assert len(spans) == (5 if settle_spans else 3)  # what the broker was not asked has no span


def test_a_message_that_came_back_and_is_rejected_for_good_says_so(
    connection: Any, producer: Any, queue: Any, spans: Spans
) -> None:
    publish(producer, queue)
    for settle in ("requeue", "reject"):
        message = queue.get(no_ack=False)
        with mqtrace.process(message):
            getattr(message, settle)()
    assert [span.attributes["mqtrace.outcome"] for span in spans[1:]] == ["requeue", "reject"]


@pytest.mark.parametrize("settle_spans", [False, True])
@pytest.mark.parametrize("through", ["a consumer", "a SimpleQueue", "process alone"])
def test_a_channel_is_as_it_was_once_its_client_is_unwrapped_or_its_messages_are_settled(
    connection: Any, producer: Any, queue: Any, through: str, settle_spans: bool
) -> None:
    def handle(body: Any, message: Any) -> None:
        watched.append("basic_reject" in vars(message.channel))
        message.ack()

    watched: list[bool] = []
    with record(settle_spans=settle_spans):
        for _ in range(2):
            publish(producer, queue)
        raw: Any = None
        if through == "a consumer":
            raw = kombu.Consumer(connection, [queue], callbacks=[handle])
        elif through == "a SimpleQueue":
            raw = connection.SimpleQueue(queue)
        client = mqtrace.wrap(raw) if raw is not None else None
        channel = queue.channel if client is None else client.channel
        before = {*vars(channel)}
        if through == "a consumer":
            consume(connection, client, 2)
        else:
            for _ in range(2):
                message = queue.get(no_ack=False) if client is None else client.get(timeout=1)
                with mqtrace.process(message):
                    handle(None, message)
        assert watched == [True, True]
        assert mqtrace.unwrap(client) is raw
        assert {*vars(channel)} == before


@pytest.mark.parametrize("unwrapped", [True, False])
def test_a_message_that_nobody_settles_holds_no_channel_that_is_unwrapped_or_dropped(
    connection: Any, producer: Any, queue: Any, unwrapped: bool
) -> None:
    kept: list[Any] = []
    with record(settle_spans=True) as spans:
        channel = connection.channel()
        consumer = mqtrace.wrap(kombu.Consumer(channel, [queue], callbacks=[lambda _, message: kept.append(message)]))
        publish(producer, queue)
        consume(connection, consumer)
        assert "basic_ack" in vars(channel)
        if unwrapped:
            mqtrace.unwrap(consumer)
            assert not {"basic_ack", "basic_reject"} & vars(channel).keys()
            kept[0].ack()
            assert len(spans) == 2
        else:
            dropped = weakref.ref(channel)
            consumer.cancel()
            channel.close()
            del consumer, channel
            kept.clear()
            gc.collect()  # a channel of kombu's holds itself
            assert dropped() is None


def test_a_method_of_a_channel_that_is_the_users_own_is_put_back(connection: Any, producer: Any, queue: Any) -> None:
    seen: list[Any] = []
    with record():
        publish(producer, queue)
        message = queue.get(no_ack=False)
        message.channel.basic_reject = own = lambda tag, requeue: seen.append((tag, requeue))
        with mqtrace.process(message) as span:
            message.reject(requeue=True)
        assert message.channel.basic_reject is own
        assert seen == [(message.delivery_tag, True)]
        assert span.attributes["mqtrace.outcome"] == "requeue"


@pytest.mark.parametrize("settle_spans", [False, True])
def test_a_message_in_a_handler_can_be_copied_pickled_and_written_as_without_us(
    connection: Any, producer: Any, queue: Any, settle_spans: bool
) -> None:
    def handle(body: Any, message: Any) -> None:
        written.append(serialization.dumps(vars(message), "json")[2])
        copies.extend((copy.copy(message), copy.deepcopy(message)))
        channel, message.channel = message.channel, None  # a connection's, which nothing can pickle
        copies.append(pickle.loads(pickle.dumps(message)))
        message.channel = channel
        message.ack()

    written: list[str] = []
    copies: list[Any] = []
    with record(settle_spans=settle_spans) as spans:
        publish(producer, queue)
        consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle])))
        assert spans[-1].attributes["mqtrace.outcome"] == "ack"
    assert "traceparent" in written[0]
    assert [one.payload for one in copies] == ["body"] * 3
    assert copies[1].channel.basic_reject.__self__ is copies[1].channel is not copies[0].channel


def test_an_unwrapped_consumer_is_what_it_was(connection: Any, producer: Any, queue: Any, spans: Spans) -> None:
    def handle(body: Any, message: Any) -> None:
        seen.append(body)
        message.ack()

    seen: list[Any] = []
    consumer = kombu.Consumer(connection, [queue], callbacks=[handle])
    before = dict(vars(consumer))
    wrapped = mqtrace.wrap(consumer)
    assert vars(consumer) == before
    for body, one in (("traced", wrapped), ("bare", mqtrace.unwrap(wrapped))):
        publish(producer, queue, body)
        consume(connection, one)
    assert seen == ["traced", "bare"]
    assert len([span for span in spans if span.kind == "consumer"]) == 1


def test_a_wrapped_consumer_and_its_own_have_one_state(connection: Any, queue: Any) -> None:
    consumer = kombu.Consumer(connection, [queue])
    wrapped = mqtrace.wrap(consumer)
    wrapped.callbacks = [print]
    wrapped.no_ack = True
    consumer.prefetch_count = 7
    assert (consumer.callbacks, consumer.no_ack, wrapped.prefetch_count) == ([print], True, 7)
    with wrapped:
        assert consumer.consuming_from(queue)
    assert not wrapped.consuming_from(queue)


def test_a_consumer_of_the_users_class_is_traced_through_its_own_methods(
    connection: Any, producer: Any, queue: Any, spans: Spans
) -> None:
    class Consumer(kombu.Consumer):  # type: ignore[misc]  # as above
        __slots__ = ("received",)

        def receive(self, body: Any, message: Any) -> None:
            self.received.append((body, type(self).__name__, isinstance(self, Consumer)))
            message.ack()

        def start(self) -> None:
            self.consume()

    consumer = Consumer(connection, [queue])
    consumer.received = []
    wrapped = mqtrace.wrap(consumer)
    publish(producer, queue)
    wrapped.start()
    connection.drain_events(timeout=2)
    wrapped.cancel()
    assert consumer.received == [("body", "Consumer", True)]
    assert [span.kind for span in spans] == ["producer", "consumer"]


def test_a_receive_that_is_assigned_is_traced(connection: Any, producer: Any, queue: Any, spans: Spans) -> None:
    """kombu's guide: assign ``receive`` or ``on_message`` of a consumer."""
    wrapped = mqtrace.wrap(kombu.Consumer(connection, [queue]))
    wrapped.receive = lambda body, message: message.ack()
    publish(producer, queue)
    consume(connection, wrapped)
    assert [span.kind for span in spans] == ["producer", "consumer"]


@pytest.mark.parametrize("headers", [None, {}, {"tenant": "a"}])
def test_without_propagators_a_message_goes_out_as_it_is(
    connection: Any, queue: Any, monkeypatch: pytest.MonkeyPatch, headers: Any
) -> None:
    raw = kombu.Producer(connection)
    given: list[Any] = []
    monkeypatch.setattr(raw, "publish", lambda body, **named: given.append(named.get("headers")))
    with record(propagators="none") as spans:
        publish(mqtrace.wrap(raw), queue, headers=headers)
    assert len(spans) == 1
    assert given == [headers]


def test_a_message_that_is_relayed_with_its_headers_is_of_this_hop(
    connection: Any, producer: Any, queue: Any, spans: Spans
) -> None:
    def relay(body: Any, message: Any) -> None:
        before = dict(message.headers)
        if not seen:
            publish(producer, queue, body, headers=message.headers)
        seen.append(before)
        assert message.headers == before
        message.ack()

    seen: list[Any] = []
    publish(producer, queue)
    consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[relay])), 2)
    first, again, relaying, last = spans
    assert [span.parent_id for span in (relaying, again, last)] == [first.span_id, relaying.span_id, again.span_id]
    assert (again.kind, list(again.links)) == ("producer", [])
    assert [headers["tracestate"] for headers in seen] == [
        f"mqtrace=t:{span.start_time // 1_000_000}" for span in (first, again)
    ]


def test_on_message_runs_in_its_span(connection: Any, producer: Any, queue: Any, spans: Spans) -> None:
    def handle(message: Any) -> None:
        seen.append(mqtrace.current_span())

    seen: list[Any] = []
    consumer = mqtrace.wrap(kombu.Consumer(connection, [queue], on_message=handle, no_ack=True))
    assert consumer.on_message is handle
    publish(producer, queue)
    consume(connection, consumer)
    consumer.on_message = lambda message: seen.append(None)
    publish(producer, queue)
    consume(connection, consumer)
    assert seen == [spans[1], None]
    assert spans[1].attributes["mqtrace.outcome"] == "auto"
    assert len(spans) == 4


@pytest.mark.parametrize("several", [False, True])
def test_a_decorated_callback_gets_one_span(
    connection: Any, producer: Any, queue: Any, spans: Spans, several: bool
) -> None:
    @mqtrace.consumer(name="mine")
    def handle(body: Any, message: Any) -> None:
        message.ack()

    publish(producer, queue)
    callbacks = [handle, lambda body, message: None] if several else [handle]
    consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=callbacks)))
    assert len(spans) == 2
    if not several:
        assert spans[1].name == "mine"


def test_process_in_a_callback_is_the_span_of_the_callback(
    connection: Any, producer: Any, queue: Any, spans: Spans
) -> None:
    def handle(body: Any, message: Any) -> None:
        with mqtrace.process(message) as span:
            assert span is mqtrace.current_span()
            span.set_attribute("seen", True)
        assert span.is_recording()
        message.ack()

    publish(producer, queue)
    consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle])))
    assert len(spans) == 2
    assert spans[1].attributes["seen"] is True
    assert spans[1].attributes["mqtrace.outcome"] == "ack"


def test_a_decorated_handler_of_an_unwrapped_consumer(connection: Any, producer: Any, queue: Any, spans: Spans) -> None:
    @mqtrace.consumer
    def handle(body: Any, message: Any) -> None:
        message.ack()

    publish(producer, queue)
    consume(connection, kombu.Consumer(connection, [queue], callbacks=[handle]))
    assert spans[1].name == f"process shop:{queue.routing_key}"
    assert spans[1].attributes["mqtrace.outcome"] == "ack"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_what_a_callback_raises_is_recorded_and_goes_on(
    connection: Any, producer: Any, queue: Any, spans: Spans, error: BaseException
) -> None:
    def handle(body: Any, message: Any) -> None:
        message.reject()
        raise error

    publish(producer, queue)
    with pytest.raises(type(error)) as caught:
        consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[handle])))
    assert caught.value is error
    assert spans[1].attributes["error.type"] == type(error).__name__
    assert spans[1].attributes["mqtrace.outcome"] == "reject"
    assert mqtrace.current_span().trace_id == "0" * 32


def test_an_interrupt_after_the_callback_returned_loses_no_span(
    connection: Any, producer: Any, queue: Any, spans: Spans, interrupt_end: Any
) -> None:
    publish(producer, queue)
    interrupt_end(KombuSpan)
    with pytest.raises(KeyboardInterrupt):
        consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[lambda body, message: None])))
    assert [span.attributes.get("error.type") for span in spans] == [None, "KeyboardInterrupt"]
    assert mqtrace.current_span().trace_id == "0" * 32


def test_an_interrupt_after_the_publish_returned_loses_no_span(
    producer: Any, queue: Any, spans: Spans, interrupt_end: Any
) -> None:
    interrupt_end(SendSpan)
    with pytest.raises(KeyboardInterrupt):
        publish(producer, queue)
    assert [span.attributes["error.type"] for span in spans] == ["KeyboardInterrupt"]


def test_several_queues_of_one_consumer(connection: Any, producer: Any, spans: Spans) -> None:
    queues = [kombu.Queue(f"q{n}-{uuid.uuid4().hex[:6]}", kombu.Exchange("shop"), f"k{n}") for n in range(2)]
    consumer = mqtrace.wrap(kombu.Consumer(connection, queues, callbacks=[lambda body, message: message.ack()]))
    for queue in queues:
        publish(producer, queue)
    consume(connection, consumer, 2)
    names = {span.attributes["messaging.destination.name"] for span in spans if span.kind == "consumer"}
    assert names == {f"shop:{queue.routing_key}:{queue.name}" for queue in queues}


def test_a_mixin_that_consumes_and_answers(connection: Any, queue: Any, spans: Spans) -> None:
    class Worker(ConsumerProducerMixin):  # type: ignore[misc]  # as above
        def __init__(self) -> None:
            self.connection = connection

        def get_consumers(self, Consumer: Any, channel: Any) -> Any:
            return [mqtrace.wrap(Consumer(queues=[queue], on_message=self.handle))]

        def handle(self, message: Any) -> None:
            wrapped = mqtrace.wrap(self.producer)
            wrapped.publish("answer", exchange="", routing_key=message.properties["reply_to"], retry=True)
            message.ack()
            self.should_stop = True

    replies = kombu.Queue(f"replies-{uuid.uuid4().hex[:6]}", exchange="")(connection.default_channel)
    replies.declare()
    publish(mqtrace.wrap(kombu.Producer(connection)), queue, reply_to=replies.name)
    for _ in Worker().consume(timeout=5):
        pass
    with mqtrace.process(received(replies)):
        pass
    assert len(spans) == 4
    assert len({span.trace_id for span in spans}) == 1


# ---------------------------------------------------------------------- simple queues, each, batch


def test_a_simple_queue(connection: Any, spans: Spans) -> None:
    name = f"simple-{uuid.uuid4().hex[:8]}"
    with mqtrace.wrap(connection.SimpleQueue(name)) as simple:
        simple.put({"a": 1}, headers={"mine": 1})
        simple.put("second", "json")
        message = simple.get(timeout=2)
        with mqtrace.process(message) as span:
            assert message.payload == {"a": 1}
            message.ack()
        assert span.name == f"process {name}:{name}"
        assert span.parent_id == spans[0].span_id
        assert span.attributes["mqtrace.outcome"] == "ack"
        assert simple.get(block=False).payload == "second"
        with pytest.raises(simple.Empty):
            simple.get_nowait()
        assert len(simple) == 0


def test_each_and_batch(connection: Any, spans: Spans) -> None:
    name = f"simple-{uuid.uuid4().hex[:8]}"
    simple = mqtrace.wrap(connection.SimpleQueue(name, no_ack=True))
    for number in range(4):
        simple.put(number)
    for message in mqtrace.each([simple.get(timeout=2), simple.get(timeout=2)]):
        assert mqtrace.current_span().trace_id == message.headers["traceparent"][3:35]
    assert [span.attributes.get("mqtrace.outcome") for span in spans[4:]] == ["auto", "auto"]
    with mqtrace.batch([simple.get(timeout=2), simple.get(timeout=2)]) as span:
        pass
    assert [link.context.span_id for link in span.links] == [spans[2].span_id, spans[3].span_id]
    assert span.attributes["messaging.batch.message_count"] == 2
    assert "messaging.message.id" not in span.links[0].attributes


def test_the_links_of_a_batch_name_their_messages(connection: Any, producer: Any, queue: Any, spans: Spans) -> None:
    kept: list[Any] = []
    producer.publish({}, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue], message_id="one")
    consumer = kombu.Consumer(connection, [queue], callbacks=[lambda _, message: kept.append(message)])
    consume(connection, consumer)
    with mqtrace.batch(kept) as span:
        pass
    assert [link.attributes["messaging.message.id"] for link in span.links] == ["one"]


def test_settle_spans_on_request(connection: Any, producer: Any, queue: Any) -> None:
    with record(settle_spans=True) as spans:
        publish(producer, queue)
        kept: list[Any] = []
        consumer = mqtrace.wrap(
            kombu.Consumer(connection, [queue], callbacks=[lambda _, message: kept.append(message)])
        )
        consume(connection, consumer)
        kept[0].ack()
        send, process, settle = spans
        assert settle.name.startswith("ack shop:")
        assert settle.kind == "client"
        assert settle.parent_id == process.span_id
        assert [link.context.span_id for link in settle.links] == [send.span_id]


# ---------------------------------------------------------------------- time, bad input


def test_time_in_the_queue_is_measured_also_where_another_format_goes_first(
    connection: Any, producer: Any, queue: Any
) -> None:
    with record(propagators="b3,tracecontext") as spans:
        publish(producer, queue)
        with mqtrace.process(received(queue)):
            pass
    assert spans[1].parent_id == spans[0].span_id
    assert "messaging.message.receive.latency" in spans[1].attributes


def test_time_in_the_queue_is_the_send_times(connection: Any, producer: Any, queue: Any) -> None:
    clock = FakeClock()
    with record(clock=clock) as spans:
        publish(producer, queue)
        clock.advance(2)
        consume(connection, mqtrace.wrap(kombu.Consumer(connection, [queue], callbacks=[lambda *_: None], no_ack=True)))
        assert spans[1].attributes["messaging.message.receive.latency"] == 2000.0
        clock.advance(-5)
        simple = received_of(connection, clock.epoch(clock.now()) // 1_000_000 + 3000)
        with mqtrace.process(simple):
            pass
        assert spans[2].attributes["messaging.message.receive.latency"] == 0.0
        assert spans.tracer.stats()["clock_skew"] == 1


def received_of(connection: Any, sent: int) -> Any:
    headers = {"traceparent": TRACEPARENT, "tracestate": f"mqtrace=t:{sent}"}
    return Message(headers=headers, delivery_info={}, channel=connection.default_channel)


@pytest.mark.parametrize("value", [5, b"\xff\xfe", [TRACEPARENT], {"a": TRACEPARENT}, "00-nonsense", True])
def test_a_malformed_context_is_absent_and_counted(spans: Spans, value: Any) -> None:
    """FAULTS 2."""
    headers = {"traceparent": value}
    with mqtrace.process(Message(headers=headers, delivery_info={"exchange": "x", "routing_key": "k"})) as span:
        pass
    assert span.name == "process x:k"
    assert span.parent_id is None
    assert headers == {"traceparent": value}
    assert spans.tracer.stats()["contexts_malformed"] == 1


_scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
_values = st.recursive(
    _scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=6
)


@given(
    headers=st.one_of(
        _values,
        st.dictionaries(
            st.sampled_from(["traceparent", "tracestate", "baggage", "x-death", "x-delivery-count"]), _values
        ),
    ),
    properties=_values,
    delivery_info=_values,
)
def test_no_message_keeps_a_handler_from_running(headers: Any, properties: Any, delivery_info: Any) -> None:
    message = Message()
    message.headers, message.properties, message.delivery_info = headers, properties, delivery_info
    seen: list[Any] = []
    with record():
        mqtrace.consumer(seen.append)(message)
    assert seen == [message]
