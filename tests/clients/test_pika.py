"""pika's blocking channel, on one that talks to nobody."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1 import trace_pb2
from pika import exceptions  # type: ignore[import-untyped]  # pika ships no types
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # pika ships no types
from pika.spec import Basic, BasicProperties  # type: ignore[import-untyped]  # pika ships no types

import mqtrace
from mqtrace.core import SendSpan, encode_span
from mqtrace.messaging.amqp import DeliverySpan
from mqtrace.testing import FakeClock, Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-03"
UNSAMPLED = f"00-{TRACE}-{PARENT}-02"


class Channel(BlockingChannel):  # type: ignore[misc]  # pika ships no types
    """A blocking channel whose broker is a list."""

    connection = None

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.callbacks: dict[str, Any] = {}
        self.waiting: list[tuple[Any, Any, Any]] = []
        self.error: BaseException | None = None

    def basic_publish(
        self, exchange: Any, routing_key: Any, body: Any, properties: Any = None, mandatory: bool = False
    ) -> None:
        self.sent.append((exchange, routing_key, body, properties, mandatory))
        if self.error is not None:
            raise self.error

    def basic_consume(
        self,
        queue: str,
        on_message_callback: Any,
        auto_ack: bool = False,
        exclusive: bool = False,
        consumer_tag: str | None = None,
        arguments: Any = None,
    ) -> str:
        if not callable(on_message_callback):
            raise TypeError("callback must be callable")
        self.callbacks[queue] = on_message_callback
        return consumer_tag or f"tag of {queue}"

    def deliver(self, queue: str, properties: Any = None, tag: int = 1, **method: Any) -> Any:
        said = {"exchange": "", "routing_key": queue, "redelivered": False, **method}
        made = Basic.Deliver(f"tag of {queue}", tag, said["redelivered"], said["exchange"], said["routing_key"])
        return self.callbacks[queue](self, made, properties or BasicProperties(), b"body")

    def basic_get(self, queue: str, auto_ack: bool = False) -> Any:
        return self.waiting.pop(0) if self.waiting else (None, None, None)

    def consume(self, queue: str, auto_ack: bool = False, **rest: Any) -> Iterator[Any]:
        yield from self.waiting

    def basic_ack(self, delivery_tag: int = 0, multiple: bool = False) -> None:
        self._call("ack", delivery_tag, multiple)

    def basic_nack(self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True) -> None:
        self._call("nack", delivery_tag, multiple, requeue)

    def basic_reject(self, delivery_tag: int = 0, requeue: bool = True) -> None:
        self._call("reject", delivery_tag, requeue)

    def basic_cancel(self, consumer_tag: str) -> Any:
        self.callbacks.clear()
        return list(self.waiting)

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    def __repr__(self) -> str:
        return "<a channel>"


def got(tag: int = 1, headers: Any = None, **rest: Any) -> tuple[Any, Any, bytes]:
    """What basic_get gives."""
    return Basic.GetOk(tag, False, "", "orders", 0), BasicProperties(headers=headers, **rest), b"body"


@pytest.fixture
def raw() -> Channel:
    return Channel()


@pytest.fixture
def channel(raw: Channel) -> Any:
    return mqtrace.wrap(raw)


def published(raw: Channel) -> dict[str, Any]:
    """The headers of the last message."""
    headers: dict[str, Any] = raw.sent[-1][3].headers
    return headers


# ---------------------------------------------------------------------- what wrapping gives


def test_a_wrapped_channel_is_a_channel(raw: Channel, channel: Any) -> None:
    assert isinstance(channel, BlockingChannel)
    assert isinstance(channel, Channel)
    assert mqtrace.wrap(channel) is channel
    assert mqtrace.unwrap(channel) is raw
    assert channel == raw
    assert raw == channel
    assert channel.sent is raw.sent


def test_the_class_is_wrapped_like_an_object(spans: Spans) -> None:
    """FAULTS 18: once."""
    Wrapped: Any = mqtrace.wrap(Channel)
    assert mqtrace.wrap(Wrapped) is Wrapped
    assert mqtrace.wrap(Channel) is Wrapped
    assert mqtrace.unwrap(Wrapped) is Channel
    channel = Wrapped()
    assert isinstance(channel, Channel)
    assert isinstance(channel, Wrapped)
    channel.basic_publish("", "orders", b"")
    assert len(spans) == 1


def test_an_option_is_refused(raw: Channel) -> None:
    with pytest.raises(mqtrace.ConfigurationError, match="pika channel has no options"):
        mqtrace.wrap(raw, group_id="x")


def test_a_connection_is_not_wrapped() -> None:
    from pika import BlockingConnection

    with pytest.raises(TypeError, match="wrap its channels"):
        mqtrace.wrap(BlockingConnection)


# ---------------------------------------------------------------------- publishing


def test_a_message_carries_the_context_of_its_send_span(raw: Channel, channel: Any, spans: Spans) -> None:
    assert channel.basic_publish("shop", "orders.new", b"body") is None
    (span,) = spans
    assert span.name == "send shop:orders.new"
    assert span.kind == "producer"
    assert span.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "shop:orders.new",
        "messaging.rabbitmq.destination.routing_key": "orders.new",
    }
    assert raw.sent[0][:3] == ("shop", "orders.new", b"body")
    assert raw.sent[0][4] is False
    assert published(raw)["traceparent"] == f"00-{span.trace_id}-{span.span_id}-03"
    assert published(raw)["tracestate"] == f"mqtrace=t:{span.start_time // 1_000_000}"
    assert span.trace_state == ""


@pytest.mark.parametrize(
    ("exchange", "routing_key", "name"),
    [("", "", "amq.default"), ("", "q", "q"), ("x", "", "x"), ("x", "k", "x:k")],
)
def test_a_destination_is_exchange_and_routing_key(
    channel: Any, spans: Spans, exchange: str, routing_key: str, name: str
) -> None:
    channel.basic_publish(exchange, routing_key, b"")
    assert spans[0].attributes["messaging.destination.name"] == name


def test_arguments_go_by_position_and_by_keyword(raw: Channel, channel: Any, spans: Spans) -> None:
    """FAULTS 5."""
    properties = BasicProperties(content_type="text/plain")
    channel.basic_publish("x", "k", b"b", properties, True)
    channel.basic_publish(exchange="x", routing_key="k", body=b"b", properties=properties, mandatory=True)
    for sent in raw.sent:
        assert sent[:3] == ("x", "k", b"b")
        assert sent[3].content_type == "text/plain"
        assert sent[4] is True
    with pytest.raises(TypeError, match="basic_publish"):
        channel.basic_publish("x")
    theirs = inspect.signature(BlockingChannel.basic_publish).parameters
    assert list(inspect.signature(channel.basic_publish).parameters) == list(theirs)[1:]


def test_properties_are_copied_and_may_be_used_again(raw: Channel, channel: Any, spans: Spans) -> None:
    """FAULTS 7."""
    headers = {"mine": [1, {"deep": b"\xff"}]}
    properties = BasicProperties(headers=headers, delivery_mode=2, type="t")
    before = dict(properties.__dict__)
    for _ in range(3):
        channel.basic_publish("", "orders", b"", properties)
    assert properties.__dict__ == before
    assert properties.headers is headers
    assert headers == {"mine": [1, {"deep": b"\xff"}]}
    parents = {sent[3].headers["traceparent"] for sent in raw.sent}
    assert parents == {f"00-{span.trace_id}-{span.span_id}-03" for span in spans}
    for sent in raw.sent:
        assert sent[3].headers["mine"] is headers["mine"]
        assert (sent[3].delivery_mode, sent[3].type) == (2, "t")


def test_a_subclass_of_properties_stays_one(raw: Channel, channel: Any, spans: Spans) -> None:
    class Mine(BasicProperties):  # type: ignore[misc]  # pika ships no types
        pass

    channel.basic_publish("", "orders", b"", Mine(app_id="a"))
    assert type(raw.sent[0][3]) is Mine
    assert raw.sent[0][3].app_id == "a"
    assert "traceparent" in published(raw)


def test_ids_of_the_message_are_on_the_span(channel: Any, spans: Spans) -> None:
    channel.basic_publish("", "orders", b"", BasicProperties(message_id="m-1", correlation_id="c-1", reply_to="r"))
    assert spans[0].attributes["messaging.message.id"] == "m-1"
    assert spans[0].attributes["messaging.message.conversation_id"] == "c-1"


def test_the_users_own_context_is_never_touched(raw: Channel, channel: Any, spans: Spans) -> None:
    theirs = {"traceparent": TRACEPARENT, "tracestate": "vendor=1,other=2"}
    properties = BasicProperties(headers=theirs)
    channel.basic_publish("", "orders", b"", properties)
    assert raw.sent[0][3] is properties
    assert properties.headers == {"traceparent": TRACEPARENT, "tracestate": "vendor=1,other=2"}
    assert spans[0].kind == "client"
    assert [link.context.trace_id for link in spans[0].links] == [TRACE]


@pytest.mark.parametrize("state", ["mqtrace=t:1700000000000", "mqtrace=t:1700000000000,vendor=1"])
def test_a_received_message_that_is_relayed_is_of_this_hop(
    raw: Channel, channel: Any, spans: Spans, state: str
) -> None:
    """Its properties are sent again within its handler: a retry topic, a router, a dead-letter republisher."""

    def relay(given: Any, method: Any, properties: Any, body: Any) -> None:
        given.basic_publish("", "next", body, properties)
        assert properties.headers == received

    received = {"traceparent": TRACEPARENT, "tracestate": state, "tenant": "a"}
    channel.basic_consume("orders", relay)
    raw.deliver("orders", BasicProperties(headers=dict(received), message_id="m"))
    send, process = spans
    assert (send.kind, send.parent_id, list(send.links)) == ("producer", process.span_id, [])
    sent = published(raw)
    assert sent["traceparent"][36:52] == send.span_id
    assert sent["tracestate"] == state.replace("1700000000000", str(send.start_time // 1_000_000))
    assert sent["tenant"] == "a"
    assert raw.sent[0][3].message_id == "m"


def test_a_message_that_is_relayed_within_another_trace_is_linked(raw: Channel, channel: Any, spans: Spans) -> None:
    headers = {"traceparent": TRACEPARENT, "tracestate": "mqtrace=t:1700000000000"}
    with spans.tracer.start_span("poll"):
        channel.basic_publish("", "next", b"", BasicProperties(headers=headers))
    send, poll = spans
    assert (send.kind, send.parent_id) == ("producer", poll.span_id)
    assert [link.context.span_id for link in send.links] == [PARENT]


@pytest.mark.parametrize("sampler", [1.0, 0.0])
def test_a_message_that_is_relayed_outside_of_a_handler_stays_in_its_trace(
    raw: Channel, channel: Any, sampler: float
) -> None:
    headers = {"traceparent": TRACEPARENT, "tracestate": "mqtrace=t:1700000000000,vendor=1"}
    with record(sampler=sampler) as spans:
        channel.basic_publish("", "next", b"", BasicProperties(headers=headers))
    sent = published(raw)
    assert sent["traceparent"] == TRACEPARENT
    for span in spans:
        assert span.kind == "client"
        assert [link.context.span_id for link in span.links] == [PARENT]
    # the time of the hop before is nobody's time in the queue
    times = [f"mqtrace=t:{span.start_time // 1_000_000}," for span in spans]
    assert sent["tracestate"] == "".join(times) + "vendor=1"


def test_a_context_that_was_copied_on_purpose_stays(raw: Channel, channel: Any, spans: Spans) -> None:
    """A traceparent without the send time: a user's, whatever trace it is of."""
    with mqtrace.use(mqtrace.Context(TRACEPARENT.encode())):
        channel.basic_publish("", "next", b"", BasicProperties(headers={"traceparent": TRACEPARENT}))
    assert published(raw) == {"traceparent": TRACEPARENT}
    assert spans[0].kind == "client"


@pytest.mark.parametrize("propagators", ["b3,tracecontext", "datadog,tracecontext", "tracecontext,baggage,b3multi"])
def test_a_message_that_is_relayed_is_of_this_hop_in_every_format(raw: Channel, channel: Any, propagators: str) -> None:
    channel.basic_consume(
        "orders", lambda given, method, properties, body: given.basic_publish("", "n", b"", properties)
    )
    with record(propagators=propagators) as spans:
        with mqtrace.use(mqtrace.Context(baggage={"tenant": "a"})):
            channel.basic_publish("", "orders", b"")
        raw.deliver("orders", BasicProperties(headers=published(raw)))
        with mqtrace.process(BasicProperties(headers=raw.sent[1][3].headers)) as last:
            assert "baggage" not in propagators or last.baggage == {"tenant": "a"}
    first, send, process = spans[:3]
    assert (send.parent_id, last.parent_id, process.parent_id) == (process.span_id, send.span_id, first.span_id)


@pytest.mark.parametrize("value", [5, b"\xff", [1], {"a": 1}, "nonsense", None])
def test_a_malformed_traceparent_is_replaced(raw: Channel, channel: Any, spans: Spans, value: Any) -> None:
    headers = {"traceparent": value, "other": 1}
    channel.basic_publish("", "orders", b"", BasicProperties(headers=headers))
    assert headers == {"traceparent": value, "other": 1}
    assert published(raw)["traceparent"].startswith(f"00-{spans[0].trace_id}-")
    assert published(raw)["other"] == 1


def test_state_and_baggage_go_along(raw: Channel, channel: Any, spans: Spans) -> None:
    with mqtrace.use(mqtrace.Context(TRACEPARENT.encode(), "vendor=1", {"user": "7"})):
        channel.basic_publish("", "orders", b"")
    sent = spans[0].start_time // 1_000_000
    assert published(raw)["tracestate"] == f"mqtrace=t:{sent},vendor=1"
    assert published(raw)["baggage"] == "user=7"
    assert spans[0].parent_id == PARENT


def assert_below(child: str, parent: str) -> None:
    """Of the same trace and flags, with an id of its own."""
    assert (child[:36], child[52:]) == (parent[:36], parent[52:])
    assert child[36:52] != parent[36:52]


def test_an_unsampled_trace_travels_without_a_span(raw: Channel, channel: Any, spans: Spans) -> None:
    with mqtrace.use(mqtrace.Context(UNSAMPLED.encode())):
        channel.basic_publish("", "orders", b"", BasicProperties(headers={"mine": 1}))
    sent = published(raw)
    assert sent.keys() == {"mine", "traceparent"}
    assert_below(sent["traceparent"], UNSAMPLED)
    assert not spans


def test_without_a_tracer_nothing_is_added(raw: Channel, channel: Any) -> None:
    properties = BasicProperties()
    channel.basic_publish("", "orders", b"", properties)
    channel.basic_publish("", "orders", b"")
    assert raw.sent[0][3] is properties
    assert raw.sent[1][3] is None


@pytest.mark.parametrize(
    "error", [exceptions.UnroutableError([]), exceptions.NackError([]), exceptions.ChannelWrongStateError("closed")]
)
def test_what_publish_raises_ends_the_span_and_goes_on(
    raw: Channel, channel: Any, spans: Spans, error: Exception
) -> None:
    """FAULTS 12 on this client: nothing stays current either."""
    raw.error = error
    with pytest.raises(type(error)) as caught:
        channel.basic_publish("", "nowhere", b"", mandatory=True)
    assert caught.value is error
    assert spans[0].status == "error"
    assert spans[0].attributes["error.type"] == f"pika.exceptions.{type(error).__name__}"
    assert mqtrace.current_span().trace_id == "0" * 32


@pytest.mark.parametrize("properties", [{}, "", 0])
def test_what_pika_takes_for_no_properties_is_none(raw: Channel, channel: Any, spans: Spans, properties: Any) -> None:
    channel.basic_publish("", "orders", b"", properties)
    assert isinstance(raw.sent[0][3], BasicProperties)


@pytest.mark.parametrize("exchange", [["x"], None, b"x"])
def test_an_exchange_that_is_not_a_name_is_left_to_pika(
    raw: Channel, channel: Any, spans: Spans, exchange: Any
) -> None:
    channel.basic_publish(exchange, "k", b"")
    assert raw.sent[0][0] is exchange
    assert len(spans) == 1


def test_only_b3_means_no_send_time(raw: Channel, channel: Any) -> None:
    with record(propagators="b3"):
        channel.basic_publish("", "orders", b"")
    assert list(published(raw)) == ["b3"]


# ---------------------------------------------------------------------- callbacks


def test_a_callback_runs_in_the_span_of_its_message(raw: Channel, channel: Any, spans: Spans) -> None:
    def handle(*arguments: Any) -> str:
        seen.append((arguments, mqtrace.current_span()))
        return "result"

    seen: list[Any] = []
    assert channel.basic_consume("orders", handle) == "tag of orders"
    properties = BasicProperties(headers={"traceparent": TRACEPARENT}, message_id="m", correlation_id="c")
    assert raw.deliver("orders", properties, tag=9, exchange="shop", routing_key="new") == "result"
    ((arguments, current),) = seen
    (span,) = spans
    assert current is span
    assert arguments[0] is channel
    assert arguments[2] is properties
    assert arguments[3] == b"body"
    assert span.name == "process shop:new:orders"
    assert span.kind == "consumer"
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert [link.context.span_id for link in span.links] == [PARENT]
    assert span.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "shop:new:orders",
        "messaging.rabbitmq.destination.routing_key": "new",
        "messaging.rabbitmq.message.delivery_tag": 9,
        "messaging.message.id": "m",
        "messaging.message.conversation_id": "c",
    }
    assert mqtrace.current_span().trace_id == "0" * 32


def test_a_queue_that_the_routing_key_names_is_said_once(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_consume("orders", lambda *_: None)
    raw.deliver("orders")
    assert spans[0].name == "process orders"


def test_every_kind_of_callback_works(raw: Channel, channel: Any, spans: Spans) -> None:
    class Service:
        def method(self, channel: Any, method: Any, properties: Any, body: Any) -> None:
            seen.append(mqtrace.current_span())

        __call__ = method

    def partial(extra: int, *_: Any) -> None:
        seen.append(mqtrace.current_span())

    seen: list[Any] = []
    for queue, callback in {"a": Service().method, "b": Service(), "c": functools.partial(partial, 1)}.items():
        channel.basic_consume(on_message_callback=callback, queue=queue)
        raw.deliver(queue)
    assert seen == list(spans)
    assert [span.name for span in spans] == ["process a", "process b", "process c"]


def test_what_is_no_callback_is_refused_by_the_channel(channel: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        channel.basic_consume("orders", None)


@pytest.mark.parametrize("form", ["function", "method", "partial", "object", "within", "generator of options"])
def test_a_decorated_callback_gets_one_span(raw: Channel, channel: Any, spans: Spans, form: str) -> None:
    @mqtrace.consumer(name="mine")
    def decorated(channel: Any, method: Any, properties: Any, body: Any, *rest: Any) -> None:
        mqtrace.current_span().set_attribute("seen", True)

    class Service:
        @mqtrace.consumer(name="mine")
        def method(self, channel: Any, method: Any, properties: Any, body: Any) -> None:
            mqtrace.current_span().set_attribute("seen", True)

        __call__ = method

    def within(channel: Any, method: Any, properties: Any, body: Any) -> None:
        with spans.tracer.start_span("work"):
            decorated(channel, method, properties, body)

    callbacks: dict[str, Any] = {
        "function": decorated,
        "method": Service().method,
        "partial": functools.partial(decorated),
        "object": Service(),
        "within": within,
        "generator of options": lambda *arguments: decorated(*arguments, "extra"),
    }
    channel.basic_consume("orders", callbacks[form])
    raw.deliver("orders", BasicProperties(headers={"traceparent": TRACEPARENT}))
    of_messages = [span for span in spans if span.kind == "consumer"]
    assert len(of_messages) == 1
    if form in ("function", "method", "partial", "object"):
        assert of_messages[0].name == "mine"
        assert of_messages[0].attributes["seen"] is True
        assert of_messages[0].attributes["messaging.destination.name"] == "orders"


@pytest.mark.parametrize("leaves", [False, True])
def test_process_in_a_callback_is_the_span_of_the_callback(
    raw: Channel, channel: Any, spans: Spans, leaves: bool
) -> None:
    def handle(channel: Any, method: Any, properties: Any, body: Any) -> None:
        around = mqtrace.current_span()
        with spans.tracer.start_span("work"):
            try:
                with mqtrace.process((channel, method, properties, body)) as span:
                    assert span is around is mqtrace.current_span()
                    span.set_attribute("seen", True)
                    raise ValueError("no")
            except ValueError:
                assert mqtrace.current_span().name == "work"
                if leaves:
                    raise
        assert around.is_recording()
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume("orders", handle)
    with contextlib.suppress(ValueError):
        raw.deliver("orders")
    (span,) = (span for span in spans if span.kind == "consumer")
    assert (span.status, span.attributes["error.type"], span.attributes["seen"]) == ("error", "ValueError", True)
    assert [event.name for event in span.events] == ["exception"]
    assert mqtrace.current_span().trace_id == "0" * 32


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_what_a_callback_raises_is_recorded_and_goes_on(
    raw: Channel, channel: Any, spans: Spans, error: BaseException
) -> None:
    """FAULTS 9."""

    def handle(*_: Any) -> None:
        raise error

    channel.basic_consume("orders", handle)
    with pytest.raises(type(error)) as caught:
        raw.deliver("orders")
    assert caught.value is error
    assert spans[0].status == "error"
    assert spans[0].attributes["error.type"] == type(error).__name__
    assert mqtrace.current_span().trace_id == "0" * 32


@pytest.mark.parametrize("auto_ack", [True, False])
def test_an_interrupt_after_the_callback_returned_loses_no_span(
    raw: Channel, channel: Any, spans: Spans, interrupt_end: Any, auto_ack: bool
) -> None:
    channel.basic_consume("orders", lambda *_: None, auto_ack=auto_ack)
    interrupt_end(DeliverySpan)
    with pytest.raises(KeyboardInterrupt):
        raw.deliver("orders")
    assert [span.attributes["error.type"] for span in spans] == ["KeyboardInterrupt"]
    assert mqtrace.current_span().trace_id == "0" * 32


def test_an_interrupt_after_the_publish_returned_loses_no_span(channel: Any, spans: Spans, interrupt_end: Any) -> None:
    interrupt_end(SendSpan)
    with pytest.raises(KeyboardInterrupt):
        channel.basic_publish("", "orders", b"1")
    assert [span.attributes["error.type"] for span in spans] == ["KeyboardInterrupt"]


def test_a_connection_lost_in_a_handler_ends_its_span(raw: Channel, channel: Any, spans: Spans) -> None:
    def handle(given: Any, method: Any, *_: Any) -> None:
        raw.error = exceptions.StreamLostError("gone")
        given.basic_ack(method.delivery_tag)

    channel.basic_consume("orders", handle)
    with pytest.raises(exceptions.StreamLostError):
        raw.deliver("orders")
    assert spans[0].attributes["error.type"] == "pika.exceptions.StreamLostError"
    assert "mqtrace.outcome" not in spans[0].attributes


def test_an_unsampled_message_makes_no_span_and_its_context_is_current(
    raw: Channel, channel: Any, spans: Spans
) -> None:
    def handle(given: Any, *_: Any) -> None:
        given.basic_publish("", "next", b"")

    channel.basic_consume("orders", handle)
    raw.deliver("orders", BasicProperties(headers={"traceparent": UNSAMPLED}))
    assert not spans
    assert published(raw).keys() == {"traceparent"}
    assert_below(published(raw)["traceparent"], UNSAMPLED)


def test_several_consumers_on_one_channel_keep_their_queues(raw: Channel, channel: Any, spans: Spans) -> None:
    for queue in ("a", "b"):
        channel.basic_consume(queue, lambda *_: None)
    raw.deliver("b", exchange="x", routing_key="k")
    raw.deliver("a", exchange="x", routing_key="k", tag=2)
    assert [span.attributes["messaging.destination.name"] for span in spans] == ["x:k:b", "x:k:a"]


def test_a_reply_joins_the_callers_trace(raw: Channel, channel: Any, spans: Spans) -> None:
    def serve(given: Any, method: Any, properties: Any, body: Any) -> None:
        reply = BasicProperties(correlation_id=properties.correlation_id)
        given.basic_publish("", properties.reply_to, b"answer", reply)

    channel.basic_consume("rpc", serve)
    channel.basic_publish("", "rpc", b"", BasicProperties(reply_to="replies", correlation_id="call-1"))
    raw.deliver("rpc", raw.sent[-1][3])
    channel.basic_consume("replies", lambda *_: None)
    raw.deliver("replies", raw.sent[-1][3], tag=2)
    assert [span.name for span in spans] == ["send rpc", "send replies", "process rpc", "process replies"]
    assert len({span.trace_id for span in spans}) == 1
    assert {span.attributes["messaging.message.conversation_id"] for span in spans} == {"call-1"}
    assert spans[3].parent_id == spans[1].span_id


# ---------------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("settle", "outcome"),
    [
        (lambda c, tag: c.basic_ack(tag), "ack"),
        (lambda c, tag: c.basic_ack(delivery_tag=tag, multiple=True), "ack"),
        (lambda c, tag: c.basic_ack(0, True), "ack"),
        (lambda c, tag: c.basic_nack(tag), "requeue"),
        (lambda c, tag: c.basic_nack(tag, requeue=False), "nack"),
        (lambda c, tag: c.basic_reject(tag), "requeue"),
        (lambda c, tag: c.basic_reject(tag, False), "reject"),
        (lambda c, tag: None, None),
        (lambda c, tag: c.basic_ack(tag + 1), None),
    ],
)
def test_the_outcome_is_on_the_process_span(
    raw: Channel, channel: Any, spans: Spans, settle: Any, outcome: str | None
) -> None:
    channel.basic_consume("orders", lambda given, method, *_: settle(given, method.delivery_tag))
    raw.deliver("orders", tag=5)
    assert spans[0].attributes.get("mqtrace.outcome") == outcome
    assert len(spans) == 1


def test_auto_ack_is_an_outcome(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_consume("orders", lambda *_: None, auto_ack=True)
    raw.deliver("orders")
    assert spans[0].attributes["mqtrace.outcome"] == "auto"


def test_an_acknowledgement_after_the_handler_changes_nothing(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_consume("orders", lambda *_: None)
    raw.deliver("orders", tag=3)
    channel.basic_ack(3)
    channel.basic_ack(3)
    assert raw.calls == [("ack", 3, False)] * 2
    assert "mqtrace.outcome" not in spans[0].attributes
    assert spans.tracer.stats()["calls_ignored"] == 0


def test_an_acknowledgement_inside_a_span_of_the_users_counts(raw: Channel, channel: Any, spans: Spans) -> None:
    def handle(given: Any, method: Any, *_: Any) -> None:
        with spans.tracer.start_span("commit"):
            given.basic_ack(method.delivery_tag)

    channel.basic_consume("orders", handle)
    raw.deliver("orders")
    assert spans.named("process orders")[0].attributes["mqtrace.outcome"] == "ack"


def test_a_message_handed_to_another_thread_has_a_span_there(raw: Channel, channel: Any, spans: Spans) -> None:
    @mqtrace.consumer
    def work(given: Any, method: Any, properties: Any, body: Any) -> None:
        given.basic_ack(method.delivery_tag)

    def handle(*arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        thread.start()
        thread.join()

    channel.basic_consume("orders", handle)
    raw.deliver("orders", BasicProperties(headers={"traceparent": TRACEPARENT}))
    assert [span.attributes.get("mqtrace.outcome") for span in spans] == ["ack", None]
    assert [span.parent_id for span in spans] == [PARENT, PARENT]
    assert spans[0].attributes["messaging.destination.name"] == "orders"


def test_settle_spans_are_children_of_their_message(raw: Channel, channel: Any) -> None:
    with record(settle_spans=True) as spans:
        channel.basic_consume("orders", lambda given, method, *_: given.basic_ack(method.delivery_tag))
        raw.deliver("orders", BasicProperties(headers={"traceparent": TRACEPARENT}), tag=4)
        settle, process = spans
        assert settle.name == "ack orders"
        assert settle.kind == "client"
        assert settle.attributes["messaging.operation.type"] == "settle"
        assert settle.attributes["messaging.operation.name"] == "ack"
        assert settle.attributes["messaging.rabbitmq.message.delivery_tag"] == 4
        assert settle.parent_id == process.span_id
        assert [link.context.span_id for link in settle.links] == [PARENT]
        assert process.attributes["mqtrace.outcome"] == "ack"


def test_a_settle_span_after_the_handler_is_attached_to_its_message_too(raw: Channel, channel: Any) -> None:
    with record(settle_spans=True) as spans:
        channel.basic_consume("orders", lambda *_: None)
        for tag in (1, 2, 3):
            raw.deliver("orders", BasicProperties(headers={"traceparent": f"00-{TRACE}-{tag:016x}-03"}), tag=tag)
        channel.basic_reject(2, False)
        assert spans[-1].name == "reject orders"
        assert spans[-1].parent_id == spans[1].span_id
        channel.basic_ack(3, multiple=True)
        assert [link.context.span_id for link in spans[-1].links] == [f"{1:016x}", f"{3:016x}"]
        assert spans[-1].attributes["messaging.batch.message_count"] == 2
        channel.basic_ack(99)
        assert spans[-1].name == "ack"


def test_a_settle_span_of_several_counts_those_that_have_no_process_span(raw: Channel, channel: Any) -> None:
    with record(settle_spans=True) as spans:
        channel.basic_ack(0, multiple=True)
        assert "messaging.batch.message_count" not in spans[-1].attributes
        raw.waiting = [got(tag) for tag in (1, 2, 3, 4)]
        messages = [channel.basic_get("orders", auto_ack=tag == 2) for tag in (1, 2, 3, 4)]
        with mqtrace.process(messages[0]):
            pass
        with mqtrace.batch(messages[:3]):
            channel.basic_ack(3, multiple=True)
        assert spans[-2].attributes["messaging.batch.message_count"] == 2
        channel.basic_nack(4, multiple=True)
        assert spans[-1].attributes["messaging.batch.message_count"] == 1


@pytest.mark.parametrize(
    "given", [None, BasicProperties(), BasicProperties(message_id="a"), BasicProperties(headers={"tenant": "a"})]
)
def test_without_propagators_a_message_goes_out_as_it_is(raw: Channel, channel: Any, given: Any) -> None:
    with record(propagators="none") as spans:
        channel.basic_publish("", "orders", b"1", given)
    assert len(spans) == 1
    assert raw.sent[-1][3] == given


@pytest.mark.parametrize("settle_spans", [False, True])
def test_a_thread_that_goes_on_after_the_callback_has_the_outcome(
    raw: Channel, channel: Any, settle_spans: bool
) -> None:
    """pika's way with threads: the callback returns at once, and the acknowledgement comes while the thread works."""
    returned, acknowledged = threading.Event(), threading.Event()

    @mqtrace.consumer(name="work")
    def work(given: Any, method: Any, properties: Any, body: Any) -> None:
        begun.set()
        assert acknowledged.wait(5)

    def handle(*message: Any) -> None:
        thread = threading.Thread(target=work, args=message)
        thread.start()
        threads.append(thread)
        assert begun.wait(5)

    threads: list[threading.Thread] = []
    begun = threading.Event()
    with record(settle_spans=settle_spans) as spans:
        channel.basic_consume("orders", handle)
        raw.deliver("orders", tag=7)
        returned.set()
        channel.basic_ack(7)
        acknowledged.set()
        threads[0].join()
    (worked,) = spans.named("work")
    assert worked.attributes["mqtrace.outcome"] == "ack"
    assert [span.parent_id for span in spans.named("ack orders")] == [worked.span_id] * settle_spans


def test_an_acknowledged_message_whose_callback_raises_is_forgotten(raw: Channel, channel: Any) -> None:
    def handle(given: Any, method: Any, *_: Any) -> None:
        given.basic_ack(method.delivery_tag)
        raise KeyError("sku")

    with record(settle_spans=True):
        channel.basic_consume("orders", handle)
        with pytest.raises(KeyError):
            raw.deliver("orders", tag=4)
    assert not channel._mqtrace.deliveries.open


def test_a_settle_that_fails_has_a_span_with_an_error(raw: Channel, channel: Any) -> None:
    raw.error = exceptions.ChannelWrongStateError("closed")
    with record(settle_spans=True) as spans:
        with pytest.raises(exceptions.ChannelWrongStateError):
            channel.basic_ack(1)
    assert spans[0].status == "error"


# ---------------------------------------------------------------------- basic_get, consume, each, batch


def test_basic_get_and_process(raw: Channel, channel: Any, spans: Spans) -> None:
    raw.waiting = [got(6, {"traceparent": TRACEPARENT})]
    message = channel.basic_get("my queue")
    with mqtrace.process(message) as span:
        channel.basic_ack(message[0].delivery_tag)
    assert spans == [span]
    assert span.name == "process orders:my queue"
    assert span.attributes["mqtrace.outcome"] == "ack"
    assert channel.basic_get("my queue") == (None, None, None)
    with mqtrace.process(channel.basic_get("my queue")):
        pass
    assert len(spans) == 1


def test_receive_spans_on_request(raw: Channel, channel: Any) -> None:
    raw.waiting = [got(6, {"traceparent": TRACEPARENT})]
    with record(receive_spans=True) as spans:
        channel.basic_get("orders")
        channel.basic_get("orders")
    assert [(span.name, span.kind) for span in spans] == [("receive orders", "client")]
    assert [link.context.span_id for link in spans[0].links] == [PARENT]


def test_each_over_consume(raw: Channel, channel: Any, spans: Spans) -> None:
    raw.waiting = [got(1, {"traceparent": TRACEPARENT}), (None, None, None), got(2)]
    seen = []
    for method, _, _ in mqtrace.each(channel.consume("orders", auto_ack=True)):
        seen.append((method is None, mqtrace.current_span().trace_id))
    assert [empty for empty, _ in seen] == [False, True, False]
    assert seen[1][1] == "0" * 32
    assert [trace for _, trace in seen if trace != "0" * 32] == [span.trace_id for span in spans]
    assert [span.attributes["mqtrace.outcome"] for span in spans] == ["auto", "auto"]


def test_a_handler_may_take_the_parts_as_it_likes(spans: Spans) -> None:
    @mqtrace.consumer
    def three(method: Any, properties: Any, body: Any) -> None: ...

    @mqtrace.consumer
    def named(*, body: Any, properties: Any, method: Any) -> None: ...

    @mqtrace.consumer
    def whole(message: Any) -> None: ...

    @mqtrace.consumer
    def properties_alone(properties: Any) -> None: ...

    method, properties, body = got(1, {"traceparent": TRACEPARENT})
    three(method, properties, body)
    named(body=body, properties=properties, method=method)
    whole((method, properties, body))
    properties_alone(properties)
    assert [span.parent_id for span in spans] == [PARENT] * 4
    assert [span.name for span in spans] == ["process orders"] * 3 + ["process"]


def test_other_tuples_are_no_messages(spans: Spans) -> None:
    @mqtrace.consumer
    def handle(one: Any, two: Any = None) -> Any:
        return one

    assert handle((1, 2, 3)) == (1, 2, 3)
    assert handle((None, None, None)) == (None, None, None)
    assert not spans
    handle((1, 2), got(1, {"traceparent": TRACEPARENT}))
    assert spans[0].parent_id == PARENT


def test_a_batch_links_to_every_message(raw: Channel, channel: Any, spans: Spans) -> None:
    """FAULTS 10."""
    raw.waiting = [got(tag, {"traceparent": f"00-{tag:032x}-{tag:016x}-03"}) for tag in (1, 2, 3)]
    messages = [channel.basic_get("orders") for _ in range(4)]
    with mqtrace.batch(messages) as span:
        pass
    assert span.name == "process orders"
    assert span.attributes["messaging.batch.message_count"] == 3
    assert [link.context.span_id for link in span.links] == [f"{tag:016x}" for tag in (1, 2, 3)]
    assert [link.attributes for link in span.links] == [
        {"messaging.rabbitmq.message.delivery_tag": tag} for tag in (1, 2, 3)
    ]


def test_the_links_of_a_batch_name_their_messages(channel: Any, spans: Spans) -> None:
    properties = BasicProperties(headers={"traceparent": TRACEPARENT}, message_id="one", correlation_id="talk")
    with mqtrace.batch([properties]) as span:
        pass
    (link,) = span.links
    assert link.attributes == {"messaging.message.id": "one", "messaging.message.conversation_id": "talk"}


def test_a_batch_of_several_queues_says_them_on_its_links(raw: Channel, channel: Any, spans: Spans) -> None:
    raw.waiting = [got(tag, {"traceparent": TRACEPARENT}) for tag in (1, 2)]
    with mqtrace.batch([channel.basic_get("a"), channel.basic_get("b")]) as span:
        pass
    assert span.name == "process"
    assert [link.attributes["messaging.destination.name"] for link in span.links] == ["orders:a", "orders:b"]


def test_messages_left_by_basic_cancel_keep_their_queue(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_consume("my queue", lambda *_: None, auto_ack=True)
    raw.waiting = [got(1)]
    (message,) = channel.basic_cancel("tag of my queue")
    with mqtrace.process(message) as span:
        pass
    assert span.name == "process orders:my queue"
    assert span.attributes["mqtrace.outcome"] == "auto"


# ---------------------------------------------------------------------- time in the queue, dead letters


def test_time_in_the_queue_is_the_send_times(raw: Channel, channel: Any) -> None:
    clock = FakeClock()
    with record(clock=clock) as spans:
        channel.basic_consume("orders", lambda *_: seen.append(mqtrace.current_span().trace_state))
        seen: list[str] = []
        with mqtrace.use(mqtrace.Context(TRACEPARENT.encode(), "vendor=1")):
            channel.basic_publish("", "orders", b"")
        clock.advance(1.5)
        raw.deliver("orders", raw.sent[0][3])
        assert spans[1].attributes["messaging.message.receive.latency"] == 1500.0
        assert seen == ["vendor=1"]
        assert spans.tracer.stats()["clock_skew"] == 0


def test_a_message_from_the_future_waited_for_nothing(raw: Channel, channel: Any) -> None:
    clock = FakeClock()
    with record(clock=clock) as spans:
        channel.basic_consume("orders", lambda *_: None)
        state = f"mqtrace=t:{clock.epoch(clock.now()) // 1_000_000 + 1}"
        raw.deliver("orders", BasicProperties(headers={"traceparent": TRACEPARENT, "tracestate": state}))
        assert spans[0].attributes["messaging.message.receive.latency"] == 0.0
        assert spans.tracer.stats()["clock_skew"] == 1


def test_dead_letters_say_how_often_why_and_from_where(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_consume("dead", lambda *_: None)
    death = {"count": 3, "reason": "rejected", "queue": "orders", "exchange": "", "routing-keys": ["orders"]}
    headers = {
        "traceparent": TRACEPARENT,
        "x-death": [death, {"count": 1, "reason": "expired", "queue": "old"}],
        "x-delivery-count": 2,
    }
    raw.deliver("dead", BasicProperties(headers=headers), redelivered=True)
    (span,) = spans
    assert span.parent_id == PARENT
    assert span.attributes["mqtrace.dead_letter.count"] == 3
    assert span.attributes["mqtrace.dead_letter.reason"] == "rejected"
    assert span.attributes["mqtrace.dead_letter.queue"] == "orders"
    assert span.attributes["mqtrace.delivery_count"] == 2
    assert span.attributes["mqtrace.redelivered"] is True


# ---------------------------------------------------------------------- bad input

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes(), st.decimals()
)
_values = st.recursive(
    _scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=8
)
_names = st.one_of(
    st.sampled_from(["traceparent", "tracestate", "baggage", "x-death", "x-delivery-count"]), st.text(max_size=5)
)


@given(st.dictionaries(_names, _values, max_size=5))
def test_no_header_table_keeps_a_message_from_its_callback(headers: dict[str, Any]) -> None:
    """FAULTS 2."""
    raw = Channel()
    channel = mqtrace.wrap(raw)
    seen: list[Any] = []
    with record() as spans:
        channel.basic_consume("orders", lambda *arguments: seen.append(arguments))
        properties = BasicProperties(headers=headers)
        before = repr(headers)
        raw.deliver("orders", properties)
        channel.basic_publish("", "orders", b"", properties)
    assert seen[0][2] is properties
    assert repr(properties.headers) == before
    assert len(spans) == 2


@pytest.mark.parametrize("value", [5, b"\xff\xfe", [TRACEPARENT], {"a": TRACEPARENT}, "00-nonsense", 1.5, True])
def test_a_malformed_context_is_absent_and_counted(raw: Channel, channel: Any, spans: Spans, value: Any) -> None:
    channel.basic_consume("orders", lambda *_: None)
    raw.deliver("orders", BasicProperties(headers={"traceparent": value}))
    assert spans[0].parent_id is None
    assert not spans[0].links
    assert spans.tracer.stats()["contexts_malformed"] == 1


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff", "0a"])
def test_unknown_flags_of_a_traceparent_are_ignored(raw: Channel, channel: Any, spans: Spans, flags: str) -> None:
    channel.basic_consume("orders", lambda *_: None)
    raw.deliver("orders", BasicProperties(headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}))
    assert len(spans) == (int(flags, 16) & 1)


def test_bytes_are_text(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_consume("orders", lambda *_: None)
    raw.deliver("orders", BasicProperties(headers={"traceparent": TRACEPARENT.encode()}))
    assert spans[0].parent_id == PARENT


def test_what_is_exported_is_what_is_read(raw: Channel, channel: Any, spans: Spans) -> None:
    """The short way of the encoder, against protobuf's own reader."""
    channel.basic_consume("orders", lambda given, method, *_: given.basic_ack(method.delivery_tag))
    headers = {"traceparent": TRACEPARENT, "tracestate": "mqtrace=t:1700000000000"}
    for tag in (1, 2047, 2048, 1 << 40):
        raw.deliver("orders", BasicProperties(headers=headers, message_id="é", correlation_id="c" * 200), tag=tag)
    raw.deliver("orders", BasicProperties(headers={**headers, "x-delivery-count": 1}), redelivered=True)
    for span in spans:
        read = trace_pb2.Span.FromString(encode_span(span))
        values = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in read.attributes}
        assert values == pytest.approx(dict(span.attributes))
        assert len(read.attributes) == len(values)
        assert read.parent_span_id.hex() == PARENT
        assert [link.span_id.hex() for link in read.links] == [PARENT]
