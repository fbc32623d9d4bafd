"""A plain mapping."""

from __future__ import annotations

from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest

from mqtrace.carriers import Mapping


def test_a_dict_is_written_in_place_as_str() -> None:
    native: dict[str, Any] = {"a": b"1"}
    carrier = Mapping(native)
    assert carrier.get("a") == "1"
    carrier.set("b", "2")
    carrier.remove("a")
    assert carrier.native is native
    assert native == {"b": "2"}


def test_any_mutable_mapping_is_written_in_place() -> None:
    native = UserDict({"a": "1"})
    Mapping(native).set("b", "2")
    assert native == {"a": "1", "b": "2"}


def test_a_read_only_mapping_is_replaced_by_a_dict() -> None:
    native = MappingProxyType({"a": "1"})
    carrier = Mapping(native)
    carrier.set("b", "2")
    assert native == {"a": "1"}
    assert carrier.native == {"a": "1", "b": "2"}
    other = Mapping(native)
    other.remove("a")
    assert other.native == {}


def test_none_becomes_a_dict_when_something_is_written() -> None:
    carrier = Mapping(None)
    assert carrier.native is None
    carrier.set("a", "1")
    assert carrier.native == {"a": "1"}


@pytest.mark.parametrize("odd", [5, "text", object(), [("a", "1")]])
def test_what_is_no_mapping_holds_nothing_and_is_left_alone(odd: Any) -> None:
    carrier = Mapping(odd)
    carrier.set("a", "1")
    carrier.remove("a")
    assert (carrier.get("a"), carrier.names()) == (None, [])
    assert carrier.native is odd
