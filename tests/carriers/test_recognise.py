"""Which carrier a native object gets."""

from __future__ import annotations

import collections
import email.message
from types import MappingProxyType
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest

from mqtrace.carriers import AmqpTable, HttpHeaders, KafkaHeaders, Mapping, recognise


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        (None, KafkaHeaders),
        ([], KafkaHeaders),
        ((), KafkaHeaders),
        ([("a", b"1")], KafkaHeaders),
        ([("a", "1")], KafkaHeaders),
        ([("a", None)], KafkaHeaders),
        ([5, None], KafkaHeaders),
        ([(b"a", b"1")], HttpHeaders),
        ([5, (b"a", b"1")], HttpHeaders),
        ([[b"a", b"1"]], HttpHeaders),
        ({}, Mapping),
        ({"traceparent": "a"}, Mapping),
        ({"type": "http", "headers": "text"}, Mapping),
        ({"type": "http", "headers": []}, HttpHeaders),
        ({"type": "websocket", "headers": ()}, HttpHeaders),
        ({"type": "order", "headers": []}, Mapping),
        ({"type": ["http"], "headers": []}, Mapping),
        ({"REQUEST_METHOD": "GET"}, HttpHeaders),
        ({"wsgi.version": (1, 0)}, HttpHeaders),
        (MappingProxyType({}), Mapping),
        (pika.BasicProperties(), AmqpTable),
        (email.message.Message(), HttpHeaders),
    ],
)
def test_recognises(native: Any, kind: type) -> None:
    assert type(recognise(native)) is kind


class Caseless(collections.UserDict[str, str]):
    """As requests and Django have them: names keep the case that they came in, and any case finds them."""

    def __contains__(self, name: object) -> bool:
        return any(key.lower() == str(name).lower() for key in self.data)

    def __getitem__(self, name: str) -> str:
        return next(value for key, value in self.data.items() if key.lower() == name.lower())


def test_a_mapping_that_does_not_mind_case_is_http() -> None:
    headers = Caseless({"Host": "a", "Traceparent": "b"})
    assert type(recognise(headers)) is HttpHeaders
    assert recognise(headers).names() == ["host", "traceparent"]
    assert type(recognise(collections.UserDict({"Host": "a"}))) is Mapping


def test_a_mapping_that_raises_has_no_say() -> None:
    class Raising(Caseless):
        def __iter__(self) -> Any:
            raise ZeroDivisionError

    assert type(recognise(Raising())) is Mapping


def test_a_carrier_is_its_own() -> None:
    carrier = HttpHeaders([])
    assert recognise(carrier) is carrier


@pytest.mark.parametrize("native", [5, "text", b"bytes", object(), {1, 2}])
def test_anything_else_is_a_type_error_that_names_what_is_known(native: Any) -> None:
    with pytest.raises(TypeError, match=r"no carrier for \w+: pass a dict.*BasicProperties.*KafkaHeaders"):
        recognise(native)
