"""A message that is sent on with the headers that it came with: `produce(topic, value, headers=message.headers())`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Message, Producer

import mqtrace
from mqtrace.testing import Spans, record

CONTEXT = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-0"
OTHER = "00-" + "c3" * 16 + "-" + "d4" * 8 + "-01"


class Wire(Producer):
    """Keeps the headers of what it sends."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        super().__init__(configuration)
        self.sent: list[dict[str, bytes]] = []

    def produce(self, topic: str, value: Any = None, headers: Any = None, **named: Any) -> None:  # type: ignore[override]
        self.sent.append(dict(headers or []))
        super().produce(topic, value, headers=headers, **named)


@pytest.fixture
def producer(cluster: str) -> Any:
    return mqtrace.wrap(Wire)({"bootstrap.servers": cluster, "log_level": 0})


@pytest.fixture
def topic() -> str:
    return f"topic-{time.time_ns()}"


def incoming(flag: str = "1", **more: bytes) -> Message:
    headers: list[Any] = [("traceparent", (CONTEXT + flag).encode()), *more.items()]
    return Message(topic="first", partition=0, offset=1, value=b"v", headers=headers)


def relayed(producer: Any, topic: str, message: Any, how: str) -> None:
    def relay() -> None:
        producer.produce(topic, message.value(), headers=message.headers())

    if how == "process":
        with mqtrace.process(message):
            relay()
    elif how == "consumer":
        mqtrace.consumer(lambda _: relay())(message)
    elif how == "each":
        for _ in mqtrace.each([message]):
            relay()
    else:
        with mqtrace.process(message), mqtrace.start_span("work"):
            relay()


@pytest.mark.parametrize("how", ["process", "consumer", "each", "a span of the user's within"])
def test_a_relayed_message_is_below_the_handler_that_relays_it(
    producer: Any, topic: str, spans: Spans, how: str
) -> None:
    message = incoming(extra=b"1")
    relayed(producer, topic, message, how)
    producer.flush(10)
    (send,) = spans.named(f"send {topic}")
    above = spans.named("work" if "span" in how else "process first")[0]
    assert (send.kind, send.parent_id, send.trace_id) == ("producer", above.span_id, above.trace_id)
    (sent,) = producer.sent
    assert sent == {"traceparent": f"{CONTEXT[:36]}{send.span_id}-01".encode(), "extra": b"1"}
    assert dict(message.headers() or []) == {"traceparent": f"{CONTEXT}1".encode(), "extra": b"1"}


def test_what_is_not_sampled_stays_in_its_trace(producer: Any, topic: str, spans: Spans) -> None:
    relayed(producer, topic, incoming("0"), "process")
    producer.flush(10)
    (sent,) = producer.sent
    assert sent["traceparent"][:36] == CONTEXT[:36].encode()
    assert sent["traceparent"].endswith(b"-00")
    assert not spans


def test_baggage_and_the_state_of_others_travel_on(producer: Any, topic: str, spans: Spans) -> None:
    relayed(producer, topic, incoming(baggage=b"a=1", tracestate=b"other=2"), "process")
    (sent,) = producer.sent
    assert (sent["baggage"], sent["tracestate"]) == (b"a=1", b"other=2")
    producer.flush(10)


def test_with_another_format_too(cluster: str, topic: str) -> None:
    with record("shop", propagators="b3") as spans:
        producer: Any = mqtrace.wrap(Wire)({"bootstrap.servers": cluster, "log_level": 0})
        b3 = ("a1" * 16 + "-" + "b2" * 8 + "-1").encode()
        message = Message(topic="first", partition=0, offset=1, value=b"v", headers=[("b3", b3)])
        with mqtrace.process(message) as handler:
            producer.produce(topic, b"v", headers=message.headers())
        producer.flush(10)
    (send,) = spans.named(f"send {topic}")
    assert send.parent_id == handler.span_id
    assert producer.sent[0]["b3"].decode().split("-")[1] == send.span_id


@pytest.mark.parametrize("theirs", [OTHER, CONTEXT[:36] + "e5" * 8 + "-01"])
def test_a_context_that_a_user_put_there_on_purpose_stays(producer: Any, topic: str, spans: Spans, theirs: str) -> None:
    """Of another trace, or of another span of this one."""
    with mqtrace.process(incoming()):
        producer.produce(topic, b"v", headers=[("traceparent", theirs)])
    producer.flush(10)
    (send,) = spans.named(f"send {topic}")
    assert (send.kind, send.links[0].context.span_id) == ("client", theirs[36:52])
    assert producer.sent[0]["traceparent"] == theirs


def test_outside_of_a_handler_the_message_stays_in_its_trace(producer: Any, topic: str, spans: Spans) -> None:
    message = incoming()
    with mqtrace.process(message):
        pass
    producer.produce(topic, b"v", headers=message.headers())
    producer.flush(10)
    (send,) = spans.named(f"send {topic}")
    assert send.kind == "client"
    assert producer.sent[0]["traceparent"] == f"{CONTEXT}1".encode()


def test_the_next_handler_is_below_the_relaying_send(
    cluster: str, topic: str, spans: Spans, producer: Any, poll_one: Callable[[str], Any]
) -> None:
    relayed(producer, topic, incoming(), "process")
    producer.flush(10)
    with mqtrace.process(poll_one(topic)) as last:
        pass
    assert last.parent_id == spans.named(f"send {topic}")[0].span_id
