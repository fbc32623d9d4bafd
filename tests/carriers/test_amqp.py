"""AMQP 0-9-1 header tables."""

from __future__ import annotations

import datetime
import decimal
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest

from mqtrace.carriers import AmqpTable


@pytest.mark.parametrize(
    "value",
    [5, -1, 2.5, True, None, b"\xff", decimal.Decimal("1.5"), datetime.datetime(2026, 1, 1), ["00"], {"a": {"b": 1}}],
)
def test_a_value_that_is_no_text_is_absent_but_named(value: object) -> None:
    carrier = AmqpTable({"traceparent": value})
    assert carrier.get("traceparent") is None
    assert carrier.names() == ["traceparent"]


def test_text_is_read_as_str_and_as_bytes_and_written_as_str() -> None:
    native = {"a": b"1", "b": "2"}
    carrier = AmqpTable(native)
    assert (carrier.get("a"), carrier.get("b")) == ("1", "2")
    carrier.set("a", "3")
    assert native == {"a": "3", "b": "2"}


def test_properties_without_headers_get_a_table_when_something_is_written() -> None:
    properties = pika.BasicProperties(content_type="text/plain")
    carrier = AmqpTable(properties)
    carrier.remove("traceparent")
    assert properties.headers is None
    carrier.set("traceparent", "a")
    assert carrier.native is properties
    assert properties.headers == {"traceparent": "a"}


def test_the_table_of_properties_is_written_in_place() -> None:
    table = {"x": 1}
    properties = pika.BasicProperties(headers=table)
    AmqpTable(properties).set("traceparent", "a")
    assert properties.headers is table
    assert table == {"x": 1, "traceparent": "a"}


def test_a_read_only_table_of_properties_is_replaced() -> None:
    message = SimpleNamespace(headers=MappingProxyType({"x": 1}))
    carrier = AmqpTable(message)
    carrier.set("traceparent", "a")
    assert carrier.native is message
    assert message.headers == {"x": 1, "traceparent": "a"}


@pytest.mark.parametrize("odd", [5, "text", object(), SimpleNamespace(headers=[("a", "b")])])
def test_what_is_no_table_holds_nothing_and_is_left_alone(odd: Any) -> None:
    before = getattr(odd, "headers", None)
    carrier = AmqpTable(odd)
    carrier.set("a", "1")
    carrier.remove("a")
    assert carrier.get("a") is None
    assert carrier.names() == []
    assert carrier.native is odd
    assert getattr(odd, "headers", None) is before
