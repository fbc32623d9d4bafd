"""pika's asynchronous channel: a real one, whose connection writes into a list."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from pika import frame  # type: ignore[import-untyped]  # pika ships no types
from pika.callback import CallbackManager  # type: ignore[import-untyped]  # pika ships no types
from pika.channel import Channel  # type: ignore[import-untyped]  # pika ships no types
from pika.spec import Basic, BasicProperties, Confirm  # type: ignore[import-untyped]  # pika ships no types

import mqtrace
from mqtrace.testing import FakeClock, Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-03"


class Connection:
    """What a channel asks of its connection."""

    publisher_confirms = True
    basic_nack = True

    def __init__(self) -> None:
        self.callbacks = CallbackManager()
        self.written: list[tuple[Any, Any]] = []

    def _send_method(self, number: int, method: Any, content: Any = None) -> None:
        self.written.append((method, content))


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def raw(connection: Connection) -> Any:
    channel = Channel(connection, 1, lambda _: None)
    channel._set_state(Channel.OPEN)
    return channel


@pytest.fixture
def channel(raw: Any) -> Any:
    return mqtrace.wrap(raw)


def answer(connection: Connection, method: Any) -> None:
    connection.callbacks.process(1, method.NAME, None, frame.Method(1, method))


def confirming(channel: Any, connection: Connection) -> list[Any]:
    """Put the channel into confirm mode; the answers that the user's callback gets."""
    answers: list[Any] = []
    channel.confirm_delivery(lambda given: answers.append(given.method))
    return answers


def test_a_wrapped_channel_is_a_channel(raw: Any, channel: Any) -> None:
    assert isinstance(channel, Channel)
    assert mqtrace.unwrap(channel) is raw
    assert int(channel) == 1
    assert channel.is_open


def test_without_confirms_the_span_ends_at_the_call(channel: Any, connection: Connection, spans: Spans) -> None:
    channel.basic_publish("x", "k", b"body", BasicProperties(type="t"))
    (span,) = spans
    method, (properties, body) = connection.written[-1]
    assert (method.exchange, method.routing_key, body) == ("x", "k", b"body")
    assert properties.type == "t"
    assert properties.headers["traceparent"] == f"00-{span.trace_id}-{span.span_id}-03"


def test_with_confirms_the_span_ends_with_the_brokers_answer(
    channel: Any, connection: Connection, spans: Spans
) -> None:
    answers = confirming(channel, connection)
    for _ in range(4):
        channel.basic_publish("", "orders", b"")
    assert not spans
    answer(connection, Basic.Ack(2, True))
    assert len(spans) == 2
    answer(connection, Basic.Nack(3))
    answer(connection, Basic.Ack(4))
    assert [span.status for span in spans] == ["unset", "unset", "error", "unset"]
    assert spans[2].attributes["error.type"] == "pika.exceptions.NackError"
    assert [type(one) for one in answers] == [Basic.Ack, Basic.Nack, Basic.Ack]


def test_confirms_count_unsampled_messages_too(channel: Any, connection: Connection, spans: Spans) -> None:
    confirming(channel, connection)
    with mqtrace.use(mqtrace.Context(f"00-{TRACE}-{PARENT}-02".encode())):
        channel.basic_publish("", "orders", b"")
    channel.basic_publish("", "orders", b"")
    answer(connection, Basic.Ack(1))
    assert not spans
    answer(connection, Basic.Ack(2))
    assert len(spans) == 1


def test_a_returned_message_ends_its_own_span_with_an_error(
    raw: Any, channel: Any, connection: Connection, spans: Spans
) -> None:
    returned: list[Any] = []
    channel.add_on_return_callback(lambda *arguments: returned.append(arguments))
    confirming(channel, connection)
    channel.basic_publish("", "nowhere", b"", mandatory=True)
    first = connection.written[-1][1][0]
    channel.basic_publish("", "orders", b"", mandatory=True)
    connection.callbacks.process(
        1, "_on_return", raw, raw, Basic.Return(312, "NO_ROUTE", "", "nowhere"), first, b""
    )  # fmt: skip
    answer(connection, Basic.Ack(2, True))
    assert [span.status for span in spans] == ["error", "unset"]
    assert spans[0].attributes["error.type"] == "pika.exceptions.UnroutableError"
    assert spans[0].status_description == "312 NO_ROUTE"
    assert returned[0][0] is channel


@pytest.mark.parametrize("own", [{"traceparent": TRACEPARENT}, None])
def test_a_returned_message_without_our_traceparent_is_found_by_where_it_was_sent(
    raw: Any, channel: Any, connection: Connection, own: Any
) -> None:
    with record(propagators="tracecontext" if own else "b3") as spans:
        again = mqtrace.wrap(mqtrace.unwrap(channel))
        confirming(again, connection)
        for routing_key in ("orders", "nowhere", "nowhere"):
            again.basic_publish("", routing_key, b"", BasicProperties(headers=own), mandatory=True)
            properties = connection.written[-1][1][0]
            if routing_key == "nowhere":
                returned = Basic.Return(312, "NO_ROUTE", "", routing_key)
                connection.callbacks.process(1, "_on_return", raw, raw, returned, properties, b"")
        answer(connection, Basic.Ack(3, True))
        assert [span.attributes.get("error.type") for span in spans] == [
            None,
            "pika.exceptions.UnroutableError",
            "pika.exceptions.UnroutableError",
        ]


def test_confirm_delivery_again_goes_on_counting(channel: Any, connection: Connection, spans: Spans) -> None:
    first = confirming(channel, connection)
    channel.basic_publish("", "orders", b"")
    second = confirming(channel, connection)

    def also(given: Any) -> None:
        second.append(given.method)

    channel.confirm_delivery(also)
    channel.confirm_delivery(also)
    channel.basic_publish("", "orders", b"")
    assert not spans
    answer(connection, Basic.Nack(2))
    assert [span.status for span in spans] == ["error"]
    answer(connection, Basic.Ack(1))
    assert [span.status for span in spans] == ["error", "unset"]
    assert (len(first), len(second)) == (2, 4), "each callback once, as without tracing"
    assert spans.tracer.stats()["calls_ignored"] == 0


@pytest.mark.parametrize("replaces", [False, True])
def test_confirm_delivery_with_another_callback_goes_on_counting(
    channel: Any, connection: Connection, spans: Spans, replaces: bool
) -> None:
    """pika 1.4 removes the earlier callback; older versions keep both."""
    first: list[Any] = []
    channel.confirm_delivery(first.append)
    channel.basic_publish("", "orders", b"")
    if replaces:
        for method in (Basic.Ack, Basic.Nack):
            assert connection.callbacks.remove(1, method, first.append)
    second = confirming(channel, connection)
    channel.basic_publish("", "orders", b"")
    answer(connection, Basic.Ack(2, multiple=True))
    assert len(spans) == 2
    assert (len(first), len(second)) == (0 if replaces else 1, 1)


def test_callbacks_are_known_by_the_users_own(channel: Any, connection: Connection) -> None:
    seen: list[Any] = []

    def returned(*arguments: Any) -> None:
        seen.append(arguments)

    channel.add_on_return_callback(returned)
    channel.add_on_return_callback(returned)
    connection.callbacks.process(1, "_on_return", None, channel, Basic.Return(), BasicProperties(), b"")
    assert len(seen) == 1, "one that is there already is not added again"
    assert connection.callbacks.remove(1, "_on_return", returned)
    connection.callbacks.process(1, "_on_return", None, channel, Basic.Return(), BasicProperties(), b"")
    assert len(seen) == 1
    channel.basic_consume("orders", returned, consumer_tag="tag")
    assert channel._consumers["tag"] == returned
    assert {returned: 1}[channel._consumers["tag"]] == 1


def test_calls_that_are_not_traced_reach_the_channel(raw: Any, channel: Any, connection: Connection) -> None:
    seen: list[Any] = []
    channel.add_callback(seen.append, [Basic.CancelOk], one_shot=True)
    channel.add_on_cancel_callback(seen.append)
    channel.add_on_flow_callback(seen.append)
    channel.callbacks.add(1, Basic.RecoverOk, seen.append)
    for method in (Basic.CancelOk("tag"), Basic.Cancel("tag"), Basic.RecoverOk()):
        connection.callbacks.process(1, method.NAME, raw, frame.Method(1, method))
    assert [type(one.method) for one in seen] == [Basic.CancelOk, Basic.Cancel, Basic.RecoverOk]
    assert channel.connection is raw.connection
    assert channel.callbacks is raw.callbacks
    assert channel.channel_number == 1
    assert channel.consumer_tags == raw.consumer_tags
    assert channel.CLOSED == raw.CLOSED
    channel.flow_active = False
    assert raw.flow_active is False


def test_a_channel_that_closes_answers_no_more(raw: Any, channel: Any, connection: Connection, spans: Spans) -> None:
    closed: list[Any] = []
    channel.add_on_close_callback(lambda given, reason: closed.append(given))
    confirming(channel, connection)
    channel.basic_publish("", "orders", b"")
    connection.callbacks.process(1, "_on_channel_close", raw, raw, Exception("gone"))
    assert spans[0].attributes["error.type"] == "no_confirm"
    assert closed == [channel]
    assert closed[0] is channel


def test_an_answer_that_never_comes_does_not_hold_the_span(channel: Any, connection: Connection) -> None:
    clock = FakeClock()
    with record(clock=clock) as spans:
        again = mqtrace.wrap(mqtrace.unwrap(channel))
        confirming(again, connection)
        again.basic_publish("", "orders", b"")
        for holder in list(spans.tracer.pending_owners):
            holder.expire()
        assert not spans
        clock.advance(61)
        for holder in list(spans.tracer.pending_owners):
            holder.expire()
        assert len(spans) == 1
        again.basic_publish("", "orders", b"")
        spans.tracer.shutdown()
        assert len(spans) == 2


def test_confirm_delivery_without_a_callback_is_refused_by_the_channel(channel: Any) -> None:
    with pytest.raises(ValueError, match="callback"):
        channel.confirm_delivery(None)


def test_a_callback_of_basic_consume_runs_in_its_message(
    raw: Any, channel: Any, connection: Connection, spans: Spans
) -> None:
    def handle(given: Any, method: Any, properties: Any, body: Any) -> None:
        assert given is channel
        given.basic_ack(method.delivery_tag)

    done: list[Any] = []
    tag = channel.basic_consume("orders", handle, False, callback=done.append)
    header = frame.Header(1, 4, BasicProperties(headers={"traceparent": TRACEPARENT}))
    raw._on_deliver(frame.Method(1, Basic.Deliver(tag, 1, False, "", "orders")), header, b"body")
    assert [(span.name, span.parent_id) for span in spans] == [("process orders", PARENT)]
    assert spans[0].attributes["mqtrace.outcome"] == "ack"
    assert isinstance(connection.written[-1][0], Basic.Ack)


def test_a_callback_of_basic_get_runs_in_its_message(raw: Any, channel: Any, spans: Spans) -> None:
    channel.basic_get("orders", lambda *_: seen.append(mqtrace.current_span()), auto_ack=True)
    seen: list[Any] = []
    header = frame.Header(1, 4, BasicProperties(headers={"traceparent": TRACEPARENT}))
    raw._on_getok(frame.Method(1, Basic.GetOk(1, False, "x", "k", 0)), header, b"body")
    assert seen == list(spans)
    assert spans[0].name == "process x:k:orders"
    assert spans[0].attributes["mqtrace.outcome"] == "auto"


def test_confirm_select_is_asked_for_once(channel: Any, connection: Connection) -> None:
    confirming(channel, connection)
    assert [type(method) for method, _ in connection.written] == [Confirm.Select]


def test_tasks_that_callbacks_start_keep_their_own_context(raw: Any, channel: Any, spans: Spans) -> None:
    """FAULTS 11."""

    async def work(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append((number, mqtrace.current_span().trace_id))
        channel.basic_publish("", "next", b"", BasicProperties(correlation_id=str(number)))

    async def main() -> None:
        def handle(given: Any, method: Any, properties: Any, body: Any) -> None:
            tasks.append(asyncio.ensure_future(work(method.delivery_tag)))

        tag = channel.basic_consume("orders", handle)
        for number in (1, 2):
            headers = {"traceparent": f"00-{number:032x}-{PARENT}-03"}
            header = frame.Header(1, 4, BasicProperties(headers=headers))
            raw._on_deliver(frame.Method(1, Basic.Deliver(tag, number, False, "", "orders")), header, b"")
        assert mqtrace.current_span().trace_id == "0" * 32
        await asyncio.gather(*tasks)

    seen: list[tuple[int, str]] = []
    tasks: list[Any] = []
    asyncio.run(main())
    assert set(seen) == {(1, f"{1:032x}"), (2, f"{2:032x}")}
    sent = {span.attributes["messaging.message.conversation_id"]: span.trace_id for span in spans.named("send next")}
    assert sent == {"1": f"{1:032x}", "2": f"{2:032x}"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_makes_ids_of_its_own(channel: Any, connection: Connection, spans: Spans) -> None:
    """FAULTS 15, as far as a client can be to blame for it."""
    channel.basic_publish("", "orders", b"")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            channel.basic_publish("", "orders", b"")
            os.write(writing, connection.written[-1][1][0].headers["traceparent"].encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100).decode()
    channel.basic_publish("", "orders", b"")
    assert len(theirs) == 55
    assert theirs != connection.written[-1][1][0].headers["traceparent"]
    assert len(spans) == 2
