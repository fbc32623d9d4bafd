"""Properties of pika's messages of whatever make: tracing copies them, or lets them be, and never stands in the way."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # pika ships no types
from pika.spec import Basic, BasicProperties  # type: ignore[import-untyped]  # pika ships no types

import mqtrace
from mqtrace.clients.pika.properties import UNREAD, ContextProperties
from mqtrace.testing import Spans, record


class Channel(BlockingChannel):  # type: ignore[misc]  # pika ships no types
    """A blocking channel whose broker is a list."""

    connection = None

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def basic_publish(self, exchange: str, routing_key: str, body: Any, properties: Any = None, m: Any = False) -> None:
        self.sent.append(properties)

    def basic_consume(self, queue: str, on_message_callback: Any, auto_ack: bool = False) -> str:
        self.callback = on_message_callback
        return "tag"


@pytest.fixture
def raw() -> Channel:
    return Channel()


@pytest.fixture
def channel(raw: Channel) -> Any:
    return mqtrace.wrap(raw)


class Slotted(BasicProperties):  # type: ignore[misc]  # as above
    """Has an attribute of its own and a constructor that wants it."""

    __slots__ = ("tenant",)

    def __init__(self, tenant: str) -> None:
        super().__init__(headers={"tenant": tenant})
        self.tenant = tenant


class Frozen(BasicProperties):  # type: ignore[misc]  # as above
    """Cannot be changed once it is made, nor copied."""

    def __init__(self) -> None:
        super().__init__(type="order")
        self.__dict__["frozen"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("frozen"):
            raise AttributeError(f"{name} is frozen")
        super().__setattr__(name, value)

    def __copy__(self) -> Frozen:
        return self


class Uncopied(BasicProperties):  # type: ignore[misc]  # as above
    def __copy__(self) -> Any:
        raise TypeError("not to be copied")


class Lazy(BasicProperties):  # type: ignore[misc]  # as above
    """Its headers are made when somebody asks, which goes wrong."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("headers", "message_id"):
            raise RuntimeError("not yet")
        return super().__getattribute__(name)


class Empty(BasicProperties):  # type: ignore[misc]  # as above
    """False, as a container without anything in it is; pika takes it for no properties."""

    def __len__(self) -> int:
        return 0


def test_a_subclass_with_a_constructor_and_slots_of_its_own_is_copied(raw: Channel, channel: Any, spans: Spans) -> None:
    properties = Slotted("acme")
    channel.basic_publish("", "orders", b"", properties)
    (sent,) = raw.sent
    assert type(sent) is Slotted
    assert sent is not properties
    assert sent.tenant == "acme"
    assert sent.headers.keys() == {"tenant", "traceparent", "tracestate"}
    assert properties.headers == {"tenant": "acme"}


@pytest.mark.parametrize("make", [Frozen, Uncopied, Lazy])
def test_what_cannot_be_copied_is_sent_as_it_is(
    raw: Channel, channel: Any, spans: Spans, caplog: pytest.LogCaptureFixture, make: Any
) -> None:
    properties = make()
    with caplog.at_level(logging.WARNING, "mqtrace"):
        channel.basic_publish("", "orders", b"", properties)
        channel.basic_publish("", "orders", b"", properties)
    assert [sent is properties for sent in raw.sent] == [True, True]
    assert [span.status for span in spans] == ["unset", "unset"]
    assert len(caplog.records) == 1, "said once"


def test_properties_that_are_false_are_like_none_as_for_pika(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_publish("", "orders", b"", Empty(headers={"lost": 1}))
    assert raw.sent[0].headers.keys() == {"traceparent", "tracestate"}


@pytest.mark.parametrize("headers", [[("a", 1)], "text", 7, object()])
def test_headers_that_are_no_table_are_left_to_pika(raw: Channel, channel: Any, spans: Spans, headers: Any) -> None:
    properties = BasicProperties(headers=headers)
    channel.basic_publish("", "orders", b"", properties)
    assert properties.headers is headers
    assert len(spans) == 1


def test_names_without_a_text_do_not_keep_a_message(raw: Channel, channel: Any, spans: Spans) -> None:
    class Unsaid(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no")

        __hash__ = str.__hash__

    channel.basic_publish(Unsaid("x"), Unsaid("k"), b"")
    assert len(raw.sent) == 1


def test_a_message_whose_properties_cannot_be_read_reaches_its_callback(
    raw: Channel, channel: Any, spans: Spans
) -> None:
    """FAULTS 2."""
    seen: list[Any] = []
    channel.basic_consume("orders", lambda *arguments: seen.append(arguments))
    properties = Lazy()
    raw.callback(raw, Basic.Deliver("tag", 1, False, "", "orders"), properties, b"body")
    assert seen[0][0] is channel
    assert seen[0][2] is properties


# ---------------------------------------------------------------------- properties that hold nothing but a context


def _said(properties: BasicProperties) -> dict[str, Any]:
    """Every property, as pika reads it from what was sent."""
    read = BasicProperties()
    read.decode(b"".join(properties.encode()))
    return dict(vars(read))


def _plain(headers: Any) -> BasicProperties:
    return BasicProperties(headers=headers)


def test_a_message_without_properties_goes_out_as_pika_itself_would_encode_its_context(
    raw: Channel, channel: Any, spans: Spans
) -> None:
    channel.basic_publish("", "orders", b"")
    (sent,) = raw.sent
    (span,) = spans
    encoded = b"".join(sent.encode())  # before anybody has looked at the headers
    milliseconds = span.start_time // 1_000_000
    expected = {
        "traceparent": f"00-{span.trace_id}-{span.span_id}-03",
        "tracestate": f"mqtrace=t:{milliseconds}",
    }
    assert encoded == b"".join(_plain(expected).encode())
    assert sent.headers == expected
    assert b"".join(sent.encode()) == encoded, "looking changes nothing"


def test_the_context_of_an_unsampled_trace_is_encoded_as_by_pika(raw: Channel, channel: Any) -> None:
    with record(sampler=0.0) as spans:
        channel.basic_publish("", "orders", b"")
    (sent,) = raw.sent
    encoded = b"".join(sent.encode())
    assert list(sent.headers) == ["traceparent"]
    assert sent.headers["traceparent"].endswith("-02")
    assert encoded == b"".join(_plain(sent.headers).encode()) == b"".join(sent.encode())
    assert type(sent) is ContextProperties
    assert not spans


@pytest.mark.parametrize("sent", [None, 0, 10**12 - 1, 10**12, 10**13 - 1, 10**13])
def test_a_clock_that_is_far_off_is_encoded_like_any_other(sent: int | None) -> None:
    properties = ContextProperties()
    properties.traceparent = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-03"
    properties.sent_ms = sent
    properties.table = UNREAD
    state = {} if sent is None else {"tracestate": f"mqtrace=t:{sent}"}
    expected = _plain({"traceparent": properties.traceparent.decode(), **state})
    assert b"".join(properties.encode()) == b"".join(expected.encode())


def test_properties_that_are_changed_before_pika_gets_them_are_sent_as_changed(
    raw: Channel, channel: Any, spans: Spans
) -> None:
    channel.basic_publish("", "orders", b"")
    channel.basic_publish("", "orders", b"")
    one, other = raw.sent
    one.headers["tenant"] = "acme"
    one.priority = 3
    other.headers = None
    assert _said(one) == vars(BasicProperties(headers=one.headers, priority=3))
    assert "tenant" in _said(one)["headers"]
    assert _said(other) == vars(BasicProperties())
    assert isinstance(one, BasicProperties)
    assert type(one).__name__ == "BasicProperties"
    assert copy.copy(one).headers == one.headers


@pytest.mark.parametrize("changed", [False, True])
def test_properties_on_the_way_to_the_channel_can_be_copied_and_pickled(
    raw: Channel, channel: Any, spans: Spans, changed: bool
) -> None:
    channel.basic_publish("x", "orders", b"")
    (properties,) = raw.sent
    if changed:
        properties.priority = 5
    for other in (copy.copy(properties), copy.deepcopy(properties), pickle.loads(pickle.dumps(properties))):
        assert type(other) is BasicProperties
        assert other == properties == other
        assert repr(other) == repr(properties)
        assert other.headers["traceparent"].split("-")[2] == spans[0].span_id
        assert b"".join(other.encode()) == b"".join(properties.encode())


@pytest.mark.parametrize("subclass", [False, True])
def test_the_ids_of_a_message_keep_its_span_on_the_fast_path(
    raw: Channel, channel: Any, spans: Spans, subclass: bool
) -> None:
    properties = Slotted("acme") if subclass else BasicProperties()
    properties.message_id, properties.correlation_id = "m-1", "c-1"
    channel.basic_publish("x", "orders", b"", properties)
    (span,) = spans
    assert span.details is None, "nothing of its own beside its slots"
    assert span.attributes["messaging.message.id"] == "m-1"
    assert span.attributes["messaging.message.conversation_id"] == "c-1"


def test_an_id_that_is_no_text_is_left_out_and_a_long_one_is_weighed(raw: Channel, channel: Any, spans: Spans) -> None:
    channel.basic_publish("x", "orders", b"", BasicProperties(message_id=5, correlation_id="c" * 5000))
    (span,) = spans
    assert "messaging.message.id" not in span.attributes
    assert span.attributes["messaging.message.conversation_id"] == "c" * 5000
    assert span.details is not None
