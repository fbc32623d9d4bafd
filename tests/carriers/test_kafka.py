"""Kafka record headers."""

from __future__ import annotations

from typing import Any

import pytest

from mqtrace.carriers import KafkaHeaders


def test_the_last_header_of_a_name_decides_even_when_it_is_null() -> None:
    assert KafkaHeaders([("a", b"1"), ("a", b"2")]).get("a") == "2"
    assert KafkaHeaders([("a", b"1"), ("a", None)]).get("a") is None
    assert KafkaHeaders([("a", b"1"), ("a", b"\xff")]).get("a") is None


def test_a_list_is_written_in_place_as_bytes_at_the_end() -> None:
    native: list[Any] = [("x", None), ("a", "1"), ("y", b"\xff"), ("a", b"2"), ("y", b"\xfe")]
    carrier = KafkaHeaders(native)
    carrier.set("a", "3")
    assert carrier.native is native
    assert native == [("x", None), ("y", b"\xff"), ("y", b"\xfe"), ("a", b"3")]


def test_a_dict_is_written_in_place_as_bytes() -> None:
    native: dict[str, Any] = {"a": "1"}
    KafkaHeaders(native).set("b", "2")
    assert native == {"a": "1", "b": b"2"}


def test_a_tuple_is_replaced_by_a_tuple_and_none_by_a_list() -> None:
    native = (("a", b"1"),)
    carrier = KafkaHeaders(native)
    carrier.set("b", "2")
    assert native == (("a", b"1"),)
    assert carrier.native == (("a", b"1"), ("b", b"2"))
    carrier.remove("a")
    assert carrier.native == (("b", b"2"),)

    nothing = KafkaHeaders(None)
    nothing.remove("a")
    assert nothing.native is None
    nothing.set("a", "1")
    assert nothing.native == [("a", b"1")]


def test_names_are_exact() -> None:
    assert KafkaHeaders([("Traceparent", b"1")]).get("traceparent") is None


@pytest.mark.parametrize("odd", [(), ("traceparent",), ("traceparent", b"1", b"2"), None, 5, object(), "traceparent"])
def test_what_is_no_pair_is_no_header_and_stays_where_it_is(odd: Any) -> None:
    native = [odd, ("a", b"1"), odd]
    carrier = KafkaHeaders(native)
    assert carrier.get("traceparent") is None
    assert carrier.get("a") == "1"
    assert carrier.names() == ["a"]
    carrier.set("a", "2")
    assert native == [odd, odd, ("a", b"2")]


@pytest.mark.parametrize("odd", [5, "text", object(), b"traceparent"])
def test_headers_of_another_type_are_left_for_the_client_to_refuse(odd: Any) -> None:
    carrier = KafkaHeaders(odd)
    carrier.set("a", "1")
    carrier.remove("a")
    assert carrier.native is odd
    assert carrier.get("a") is None
    assert carrier.names() == []
