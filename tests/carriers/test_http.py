"""HTTP header fields."""

from __future__ import annotations

import email.message
import wsgiref.headers
from typing import Any

import pytest

from mqtrace.carriers import HttpHeaders


def test_lines_of_one_field_combine_in_order() -> None:
    native = [("TraceState", "a=1"), ("x", "y"), ("tracestate", " b=2 ")]
    assert HttpHeaders(native).get("tracestate") == "a=1,b=2"


def test_a_field_with_one_line_that_is_no_text_is_absent() -> None:
    carrier = HttpHeaders([(b"tracestate", b"a=1"), (b"tracestate", b"\xff")])
    assert carrier.get("tracestate") is None
    assert carrier.names() == ["tracestate"]


def test_whitespace_around_a_value_is_not_part_of_it() -> None:
    assert HttpHeaders({"Traceparent": " \t00-x \t"}).get("traceparent") == "00-x"


def test_a_message_combines_its_repeated_fields_and_set_leaves_one() -> None:
    message = email.message.Message()
    message["TraceState"] = "a=1"
    message["tracestate"] = "b=2"
    carrier = HttpHeaders(message)
    assert carrier.get("tracestate") == "a=1,b=2"
    carrier.set("tracestate", "c=3")
    assert carrier.native is message
    assert message.get_all("tracestate") == ["c=3"]


def test_pairs_are_written_in_their_own_type() -> None:
    of_bytes: list[Any] = [(b"Host", b"a"), (b"TRACEPARENT", b"old")]
    HttpHeaders(of_bytes).set("traceparent", "new")
    assert of_bytes == [(b"Host", b"a"), (b"traceparent", b"new")]
    HttpHeaders(of_bytes).set("X-Amzn-Trace-Id", "Root=1")
    assert of_bytes[-1] == (b"x-amzn-trace-id", b"Root=1"), "HTTP/2 wants names in lowercase"
    of_str: list[Any] = []
    HttpHeaders(of_str).set("traceparent", "new")
    assert of_str == [("traceparent", "new")]
    of_tuples = HttpHeaders((("Host", "a"),))
    of_tuples.set("traceparent", "new")
    assert of_tuples.native == (("Host", "a"), ("traceparent", "new"))


@pytest.mark.parametrize("make", [list, tuple])
@pytest.mark.parametrize("lines", [1, 2])
def test_pairs_of_bytes_stay_bytes_though_nothing_but_the_context_was_among_them(make: Any, lines: int) -> None:
    carrier = HttpHeaders(make([(b"traceparent", b"old"), (b"tracestate", b"a=1")] * lines))
    carrier.remove("tracestate")
    carrier.set("traceparent", "new")
    carrier.set("tracestate", "b=2")
    assert carrier.native == make([(b"traceparent", b"new"), (b"tracestate", b"b=2")])


def test_a_dict_keeps_one_spelling_of_a_name() -> None:
    native = {"Traceparent": "old", "Host": "a"}
    HttpHeaders(native).set("traceparent", "new")
    assert native == {"Host": "a", "traceparent": "new"}


def test_the_headers_of_a_wsgi_response() -> None:
    native = wsgiref.headers.Headers([("Host", "a"), ("Traceparent", "old"), ("Tracestate", "x=1")])
    carrier = HttpHeaders(native)
    carrier.set("traceparent", "new")
    carrier.remove("tracestate")
    assert native.items() == [("Host", "a"), ("traceparent", "new")]


def test_a_wsgi_environ() -> None:
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "wsgi.version": (1, 0), "HTTP_X_B3_TRACEID": "ab"}
    carrier = HttpHeaders(environ)
    assert carrier.get("x-b3-traceid") == "ab"
    assert carrier.names() == ["x-b3-traceid"]
    carrier.set("traceparent", "new")
    assert carrier.native is environ
    assert environ["HTTP_TRACEPARENT"] == "new"
    assert carrier.get("wsgi.version") is None


def test_a_wsgi_value_is_bytes_read_as_latin_1() -> None:
    environ = {"REQUEST_METHOD": "GET", "HTTP_GOOD": "grün".encode().decode("latin-1"), "HTTP_BAD": "gr\xfcn"}
    carrier = HttpHeaders(environ)
    assert carrier.get("good") == "grün"
    assert carrier.get("bad") is None


def test_an_asgi_scope_is_written_as_bytes_in_place() -> None:
    headers: list[Any] = []
    scope = {"type": "http", "headers": headers}
    carrier = HttpHeaders(scope)
    carrier.set("Traceparent", "new")
    assert carrier.native is scope
    assert scope["headers"] is headers
    assert headers == [(b"traceparent", b"new")]


@pytest.mark.parametrize("odd", [5, "text", object()])
def test_what_is_no_headers_holds_nothing_and_is_left_alone(odd: Any) -> None:
    carrier = HttpHeaders(odd)
    carrier.set("a", "1")
    carrier.remove("a")
    assert (carrier.get("a"), carrier.names()) == (None, [])
    assert carrier.native is odd


@pytest.mark.parametrize("odd", [(), ("traceparent",), ("traceparent", "1", "2"), None, 5, "traceparent"])
def test_what_is_no_pair_is_no_field_and_stays(odd: Any) -> None:
    native = [odd, ("a", "1")]
    carrier = HttpHeaders(native)
    carrier.set("a", "2")
    assert carrier.names() == ["a"]
    assert native == [odd, ("a", "2")]
