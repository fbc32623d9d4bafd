"""Each carrier, over each native form that it reads, keeps the one contract."""

from __future__ import annotations

import email.message
from collections.abc import Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.carriers import AmqpTable, Carrier, HttpHeaders, KafkaHeaders, Mapping
from mqtrace.testing import CarrierContract

Pairs = Sequence[tuple[Any, Any]]


class TestKafkaList(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return KafkaHeaders([(name, value.encode()) for name, value in headers.items()])

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return KafkaHeaders(list(pairs))


class TestKafkaTuple(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return KafkaHeaders(tuple(headers.items()))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return KafkaHeaders(tuple(pairs))


class TestKafkaDict(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return KafkaHeaders({name: value.encode() for name, value in headers.items()})

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return KafkaHeaders(dict(pairs))


class TestKafkaNone(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        carrier = KafkaHeaders(None)
        for name, value in headers.items():
            carrier.set(name, value)
        return carrier


class TestAmqpTable(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return AmqpTable(dict(headers))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return AmqpTable(dict(pairs))


class TestAmqpNone(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return AmqpTable(dict(headers) or None)


class TestAmqpPika(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return AmqpTable(pika.BasicProperties(headers=dict(headers) or None))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return AmqpTable(pika.BasicProperties(headers=dict(pairs)))


class TestAmqpKombu(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return AmqpTable(SimpleNamespace(headers=dict(headers), delivery_info={}, properties={}))


class TestMapping(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return Mapping(dict(headers))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return Mapping(dict(pairs))


class TestMappingReadOnly(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return Mapping(MappingProxyType(dict(headers)))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return Mapping(MappingProxyType(dict(pairs)))


class TestMappingNone(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return Mapping(dict(headers) or None)


class HttpContract(CarrierContract):
    case_insensitive = True


class TestHttpDict(HttpContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return HttpHeaders(dict(headers))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return HttpHeaders(dict(pairs))


class TestHttpReadOnly(HttpContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return HttpHeaders(MappingProxyType(dict(headers)))


class TestHttpNone(HttpContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return HttpHeaders(dict(headers) or None)


class TestHttpMessage(HttpContract):
    """What ``http.server`` and ``http.client`` have as headers."""

    def make(self, headers: dict[str, str]) -> Carrier:
        message = email.message.Message()
        for name, value in headers.items():
            message[name] = value
        return HttpHeaders(message)


class CombinedLines(HttpContract):
    def repeated(self, values: list[str]) -> str | None:
        return ",".join(values)


class TestHttpPairs(CombinedLines):
    def make(self, headers: dict[str, str]) -> Carrier:
        return HttpHeaders(list(headers.items()))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return HttpHeaders(list(pairs))


class TestHttpTuple(CombinedLines):
    def make(self, headers: dict[str, str]) -> Carrier:
        return HttpHeaders(tuple(headers.items()))

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        return HttpHeaders(tuple(pairs))


class TestHttpBytesPairs(CombinedLines):
    def make(self, headers: dict[str, str]) -> Carrier:
        return HttpHeaders([(name.encode(), value.encode()) for name, value in headers.items()])


class TestAsgiScope(CombinedLines):
    def make(self, headers: dict[str, str]) -> Carrier:
        return self.make_raw([(name.lower().encode(), value.encode()) for name, value in headers.items()])

    def make_raw(self, pairs: Pairs) -> Carrier:
        return HttpHeaders({"type": "http", "method": "GET", "path": "/", "headers": list(pairs)})


class TestAsgiScopeTuple(TestAsgiScope):
    def make_raw(self, pairs: Pairs) -> Carrier:
        return HttpHeaders({"type": "websocket", "path": "/", "headers": tuple(pairs)})


class TestAsgiScopeIterator(TestAsgiScope):
    def make_raw(self, pairs: Pairs) -> Carrier:
        return HttpHeaders({"type": "http", "path": "/", "headers": iter(pairs)})


class TestWsgiEnviron(HttpContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        fields = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        return HttpHeaders({"REQUEST_METHOD": "GET", "wsgi.version": (1, 0), **fields})

    def make_raw(self, pairs: Pairs) -> Carrier | None:
        fields = {("HTTP_" + name.upper() if isinstance(name, str) else name): value for name, value in pairs}
        return HttpHeaders({"REQUEST_METHOD": "GET", **fields})


class TestOneOfTheirOwn(CarrierContract):
    """The contract asks nothing of a user's carrier beyond the four methods."""

    class Upper:
        def __init__(self) -> None:
            self.found: dict[str, str] = {}

        def get(self, name: str) -> str | None:
            return self.found.get(name)

        def set(self, name: str, value: str) -> None:
            self.found[name] = value

        def remove(self, name: str) -> None:
            self.found.pop(name, None)

        def names(self) -> list[str]:
            return list(self.found)

    def make(self, headers: dict[str, str]) -> Carrier:
        carrier = self.Upper()
        carrier.found.update(headers)
        return carrier
