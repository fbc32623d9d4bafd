"""The HTTP exporter against a real receiver on this machine, whatever it answers."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.export import from_url
from mqtrace.export.batch import BatchProcessor
from mqtrace.export.http import HttpExporter

from .receiver import Receiver, Request, response

Process = Callable[..., BatchProcessor]
SECRET = "s3cr3tPa55"


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """``receive(answer=..., context=..., greeting=...)``: a receiver that is closed at the end."""
    made: list[Receiver] = []

    def make(**options: Any) -> Receiver:
        made.append(Receiver(**options))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


def _exporter(url: str, **environ: str) -> HttpExporter:
    exporter = from_url(url, Environment(environ))
    assert isinstance(exporter, HttpExporter)
    return exporter


def _count(requests: list[Request]) -> int:
    return sum(
        len(scope.spans)
        for request in requests
        for resource in trace_pb2.TracesData.FromString(request.body).resource_spans
        for scope in resource.scope_spans
    )


def _lost(processor: BatchProcessor) -> dict[str, int]:
    return {reason: count for reason, count in processor.stats()["spans_dropped"].items() if count}


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# ---------------------------------------------------------------------- a receiver that takes spans


def test_a_batch_is_a_request_and_the_connection_is_kept(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    receiver = receive()
    processor = process(_exporter(f"http://{receiver.address}"))
    maker(processor).end(250)
    assert processor.flush(5)
    assert _count(receiver.requests) == 250
    assert [request.line for request in receiver.requests] == ["POST /v1/traces HTTP/1.1"] * 3
    assert receiver.connections == 1
    request = receiver.requests[0]
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["host"] == receiver.address
    assert len(request.raw_body) < len(request.body)
    stats = processor.stats()
    assert (stats["spans_exported"], stats["batches_exported"]) == (250, 3)
    assert stats["bytes_exported"] == sum(len(request.body) for request in receiver.requests)


@pytest.mark.parametrize(
    ("query", "path", "content_type"),
    [
        ("", "/v1/traces", "application/x-protobuf"),
        ("?encoding=otlp_json", "/v1/traces", "application/json"),
        ("/?encoding=zipkin_json", "/api/v2/spans", "application/json"),
        ("/otlp/v1/traces?compression=none", "/otlp/v1/traces", "application/x-protobuf"),
        ("/v1/a%20b", "/v1/a%20b", "application/x-protobuf"),
    ],
)
def test_path_and_encoding_are_the_urls(
    process: Process, maker: Any, receive: Callable[..., Receiver], query: str, path: str, content_type: str
) -> None:
    receiver = receive()
    processor = process(_exporter(f"http://{receiver.address}{query}"))
    maker(processor).end(3)
    assert processor.flush(5)
    (request,) = receiver.requests
    assert request.line == f"POST {path} HTTP/1.1"
    assert request.headers["content-type"] == content_type
    assert ("content-encoding" in request.headers) == ("none" not in query)
    if content_type == "application/json":
        data = json.loads(request.body)
        spans = data if isinstance(data, list) else data["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert len(spans) == 3


def test_the_environments_headers_are_sent_and_those_of_the_transport_are_its_own(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    receiver = receive()
    headers = "api-key=a%20b%3D,Content-Type=text/html, X-Two = 2 ,host=traces.example"
    processor = process(_exporter(f"http://{receiver.address}", OTEL_EXPORTER_OTLP_HEADERS=headers))
    maker(processor).end(1)
    assert processor.flush(5)
    sent = receiver.requests[0].headers
    assert sent["host"] == "traces.example"
    assert (sent["api-key"], sent["x-two"], sent["content-type"]) == ("a b=", "2", "application/x-protobuf")


def test_a_connection_that_was_closed_while_idle_costs_nothing(
    process: Process, maker: Any, receive: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receive()
    processor = process(_exporter(f"http://{receiver.address}"))
    spans = maker(processor)
    for _ in range(3):
        spans.end(5)
        assert processor.flush(5)
        receiver.drop()
    assert _count(receiver.requests) == 15
    assert receiver.connections == 3
    assert _lines(caplog) == []


def test_a_receiver_that_closes_after_each_answer_is_met_again(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer=lambda request: response(Connection="close"))
    processor = process(_exporter(f"http://{receiver.address}"))
    maker(processor).end(250)
    assert processor.flush(5)
    assert _count(receiver.requests) == 250
    assert receiver.connections == 3


# ---------------------------------------------------------------------- a receiver that does not


def _partial(count: int, message: str) -> bytes:
    partial = trace_service_pb2.ExportTracePartialSuccess(rejected_spans=count, error_message=message)
    return bytes(trace_service_pb2.ExportTraceServiceResponse(partial_success=partial).SerializeToString())


@pytest.mark.parametrize(
    ("body", "content_type", "rejected"),
    [
        (_partial(3, "too old"), "application/x-protobuf", 3),
        (b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}', "application/json", 3),
        (b'{"partialSuccess":{"rejectedSpans":3,"errorMessage":"too old"}}', "application/json; charset=utf-8", 3),
        (_partial(0, "too old"), "application/x-protobuf", 0),
        (_partial(1 << 40, "too old"), "application/x-protobuf", 10),
        (_partial(-5, "too old"), "application/x-protobuf", 0),
    ],
)
def test_spans_that_the_receiver_rejects_are_counted_and_said_once(
    process: Process,
    maker: Any,
    receive: Callable[..., Receiver],
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    content_type: str,
    rejected: int,
) -> None:
    receiver = receive(answer=lambda request: response(200, body, Content_Type=content_type))
    processor = process(_exporter(f"http://{receiver.address}"))
    spans = maker(processor)
    for _ in range(2):
        spans.end(10)
        assert processor.flush(5) == (rejected == 0)
    assert _lost(processor) == ({"rejected": 2 * rejected} if rejected else {})
    (line,) = _lines(caplog)
    assert "too old" in line


@pytest.mark.parametrize(
    "body", [b"", b"\0garbage\xff" * 100, b"\x0a\xff", b"{" * 9000, b"[]", b'{"partialSuccess":7}']
)
@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json", "text/html"])
def test_an_answer_of_success_is_one_whatever_its_body_is(
    process: Process, maker: Any, receive: Callable[..., Receiver], body: bytes, kind: str
) -> None:
    receiver = receive(answer=lambda request: response(200, body, Content_Type=kind))
    processor = process(_exporter(f"http://{receiver.address}"))
    maker(processor).end(10)
    assert processor.flush(5)
    assert processor.stats()["spans_exported"] == 10


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (400, "rejected", "answered 400"),
        (401, "rejected", "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "rejected", "/v1/traces"),
        (415, "rejected", "compression=none"),
        (500, "export_failed", "answered 500"),
        (301, "export_failed", "redirects to 'https://other/v1/traces?...'"),
        (600, "export_failed", "answered 600"),
    ],
)
def test_an_answer_that_is_final_is_counted_and_said_once(
    process: Process,
    maker: Any,
    receive: Callable[..., Receiver],
    caplog: pytest.LogCaptureFixture,
    status: int,
    reason: str,
    words: str,
) -> None:
    location = f"https://other/v1/traces?key={SECRET}"
    receiver = receive(
        answer=lambda request: response(status, b"no\n\x1b[31m way", Content_Type="text/plain", Location=location)
    )
    processor = process(_exporter(f"http://{receiver.address}"))
    spans = maker(processor)
    for _ in range(3):
        spans.end(10)
        assert not processor.flush(5)
    assert _lost(processor) == {reason: 30}
    assert len(receiver.requests) == 3
    (line,) = _lines(caplog)
    assert words in line
    assert "no ?[31m way" in line
    assert SECRET not in line


def test_a_batch_that_is_too_large_is_halved_and_the_limit_remembered(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer=lambda request: response(413 if len(request.body) > 3000 else 200))
    processor = process(_exporter(f"http://{receiver.address}"))
    spans = maker(processor)
    for _ in range(2):
        spans.end(100)
        assert processor.flush(5)
    taken = [request for request in receiver.requests if len(request.body) <= 3000]
    assert _count(taken) == 200
    assert len(receiver.requests) - len(taken) < 5
    large = spans.start()
    large.set_attribute("text", "x" * 30_000)
    large.end()
    spans.end(10)
    assert not processor.flush(5)
    assert _lost(processor) == {"too_large": 1}
    assert processor.stats()["spans_exported"] == 210


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(
    process: Process, maker: Any, receive: Callable[..., Receiver], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    answers = iter([status, status])
    receiver = receive(answer=lambda request: response(next(answers, 200), Retry_After="0"))
    processor = process(_exporter(f"http://{receiver.address}"))
    maker(processor).end(250)
    assert processor.flush(5)
    assert _count(receiver.requests[2:]) == 250
    (line,) = _lines(caplog)
    assert f"answered {status}" in line


def test_a_retry_after_is_obeyed(process: Process, maker: Any, receive: Callable[..., Receiver]) -> None:
    times: list[float] = []

    def answer(request: Request) -> bytes:
        times.append(time.monotonic())
        return response(429, Retry_After="1") if len(times) == 1 else response()

    processor = process(_exporter(f"http://{receive(answer=answer).address}"))
    maker(processor).end(5)
    assert processor.flush(8)
    assert 0.9 < times[1] - times[0] < 3


def test_but_not_beyond_the_export_timeout(
    process: Process, maker: Any, receive: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receive(answer=lambda request: response(503, Retry_After="86400"))
    processor = process(_exporter(f"http://{receiver.address}", OTEL_EXPORTER_OTLP_TIMEOUT="300"))
    maker(processor).end(5)
    began = time.monotonic()
    assert not processor.flush(8)
    assert 0.25 < time.monotonic() - began < 3
    assert _lost(processor) == {"export_failed": 5}


_BROKEN: dict[str, dict[str, Any]] = {
    "closes": {"answer": lambda request: None},
    "garbage": {"answer": lambda request: b"\x07\x08garbage\n" * 50},
    "no status": {"answer": lambda request: b"HTTP/1.1 what\r\n\r\n"},
    "gRPC": {"answer": lambda request: b"\0\0\x18\x04\0\0\0\0\0" + b"\0" * 24},
    "endless header": {"answer": lambda request: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20000},
    "bad chunk": {"answer": lambda request: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno"},
    "half a status line": {"answer": lambda request: b"HTTP/1.1 2"},
    "a status line alone": {"answer": lambda request: b"HTTP/1.1 200 OK\r\n"},
    "headers without an end": {"answer": lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"},
    "half a header": {"answer": lambda request: b"HTTP/1.1 200 OK\r\nContent-Le"},
    "half a body": {"answer": lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"},
    "endless interim answers": {"answer": lambda request: b"HTTP/1.1 100 Continue\r\n\r\n" * 20000},
}

_BROKEN |= {
    f"{how}, then closed": {**_BROKEN[how], "closes": True} for how in _BROKEN if how.startswith(("half", "a s", "h"))
}


@pytest.mark.parametrize("how", _BROKEN)
def test_a_broken_answer_is_bounded_counted_and_said_once(
    process: Process, maker: Any, receive: Callable[..., Receiver], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    receiver = receive(**_BROKEN[how])
    processor = process(_exporter(f"http://{receiver.address}", OTEL_EXPORTER_OTLP_TIMEOUT="700"))
    spans = maker(processor)
    spans.end(5)
    began = time.monotonic()
    assert not processor.flush(8)
    assert time.monotonic() - began < 3
    assert _lost(processor) == {"export_failed": 5}
    (line,) = _lines(caplog)
    assert receiver.address in line
    if how == "gRPC":
        assert "speaks gRPC" in line
        assert ":4318" in line


def test_a_receiver_that_says_nothing_or_a_byte_now_and_then_is_not_waited_for_beyond_the_timeout(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    done = threading.Event()

    def answer(request: Request) -> bytes | None:
        done.wait(10)
        return None

    receiver = receive(answer=answer, greeting=b"")
    processor = process(_exporter(f"http://{receiver.address}", OTEL_EXPORTER_OTLP_TIMEOUT="400"))
    maker(processor).end(5)
    began = time.monotonic()
    assert not processor.flush(8)
    assert time.monotonic() - began < 3
    assert _lost(processor) == {"export_failed": 5}
    done.set()


def test_a_drip_of_bytes_does_not_hold_the_worker(process: Process, maker: Any) -> None:
    """Each byte comes within any socket's timeout, and the answer never ends."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        sock, _ = server.accept()
        with sock:
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.wait(0.02):
                try:
                    sock.sendall(b"a: b\r\n")
                except OSError:
                    return

    threading.Thread(target=drip, daemon=True).start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    processor = process(_exporter(url, OTEL_EXPORTER_OTLP_TIMEOUT="400"))
    maker(processor).end(5)
    began = time.monotonic()
    assert not processor.flush(8)
    assert time.monotonic() - began < 3
    stop.set()
    server.close()


def test_a_shutdown_ends_a_request_that_is_under_way(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    """The receiver takes the request and says nothing: the worker stands within it, and its thread ends in time."""
    done = threading.Event()
    receiver = receive(answer=lambda request: done.wait(20) and None)
    processor = process(_exporter(f"http://{receiver.address}"), export_timeout=30.0)
    maker(processor).end(100)
    assert not processor.flush(0.5)
    began = time.monotonic()
    assert not processor.shutdown(0.5)
    assert time.monotonic() - began < 1.5
    assert _lost(processor) == {"shutdown": 100}
    while processor._thread is not None and processor._thread.is_alive and time.monotonic() - began < 5:
        time.sleep(0.01)
    assert time.monotonic() - began < 3
    done.set()


def test_what_stands_in_line_is_said_in_bytes(receive: Callable[..., Receiver], maker: Any) -> None:
    receiver = receive(answer=lambda request: response(503, Retry_After="60"))
    exporter = _exporter(f"http://{receiver.address}")
    spans = maker()
    spans.end(10)
    exporter.submit(spans.pipeline.sink.queue, lambda exported, size, lost: None)
    assert exporter.held_bytes > 400
    exporter.shutdown(0)
    assert exporter.held_bytes == 0


def test_a_body_without_an_end_is_not_read_to_its_end(
    process: Process, maker: Any, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(
        answer=lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 300_000
    )
    processor = process(_exporter(f"http://{receiver.address}"))
    spans = maker(processor)
    for _ in range(2):
        spans.end(5)
        assert processor.flush(5)
    assert receiver.connections == 2


def test_nobody_there_is_waited_for_and_said_once(
    process: Process, maker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    processor = process(_exporter(f"http://{address}"))
    maker(processor).end(300)
    for call in (processor.flush, processor.shutdown):
        began = time.monotonic()
        assert not call(0.4)
        assert time.monotonic() - began < 1.5
    assert _lost(processor) == {"shutdown": 300}
    (line,) = _lines(caplog)
    assert "refused" in line
    assert address in line


def test_what_comes_back_within_the_timeout_gets_what_waited(process: Process, maker: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    processor = process(_exporter(f"http://127.0.0.1:{port}"))
    maker(processor).end(300)
    assert not processor.flush(0.2)
    server = socket.create_server(("127.0.0.1", port))
    receiver = Receiver(server=server)
    assert processor.flush(5)
    assert _count(receiver.requests) == 300
    receiver.close()


# ---------------------------------------------------------------------- what is said


def test_no_secret_is_said(
    process: Process, maker: Any, receive: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = iter([response(401, f"no {SECRET}".encode(), Content_Type="text/plain"), None, None, response(429)])
    receiver = receive(answer=lambda request: next(answers, None))
    exporter = _exporter(
        "otlp:",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://{receiver.address}/v1/traces?key={SECRET}",
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization={SECRET}",
        OTEL_EXPORTER_OTLP_TIMEOUT="700",
    )
    processor = process(exporter)
    spans = maker(processor)
    for _ in range(3):
        spans.end(5)
        processor.flush(1)
    assert receiver.requests[0].line == f"POST /v1/traces?key={SECRET} HTTP/1.1"
    assert SECRET not in caplog.text + repr(exporter) + repr(exporter.target) + str(processor.stats())


# ---------------------------------------------------------------------- TLS


def _server_context(certificates: Path, *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "host.pem", certificates / "host.key")
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "ca.pem")
    return context


def test_https_with_an_authority_of_ones_own_and_a_client_certificate(
    process: Process, maker: Any, receive: Callable[..., Receiver], certificates: Path
) -> None:
    receiver = receive(context=_server_context(certificates, wants_client=True))
    exporter = _exporter(
        f"https://{receiver.address}",
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates / "ca.pem"),
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(certificates / "client.pem"),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=str(certificates / "client.key"),
    )
    processor = process(exporter)
    maker(processor).end(250)
    assert processor.flush(8)
    assert _count(receiver.requests) == 250
    assert receiver.connections == 1


def test_the_certificates_hold_where_python_is_strict(certificates: Path) -> None:
    """As 3.13 is by default: what the tests above and below prove, they prove there too."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    ends = socket.socketpair()
    server = threading.Thread(target=lambda: _server_context(certificates).wrap_socket(ends[1], server_side=True))
    server.start()
    context.wrap_socket(ends[0], server_hostname="127.0.0.1").close()
    server.join(5)


def test_a_certificate_that_does_not_hold_is_one_sentence_and_nothing_leaves(
    process: Process, maker: Any, receive: Callable[..., Receiver], certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receive(context=_server_context(certificates))
    exporter = _exporter(
        f"https://{receiver.address}",
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates / "other.pem"),
        OTEL_EXPORTER_OTLP_TIMEOUT="700",
    )
    processor = process(exporter)
    maker(processor).end(5)
    assert not processor.flush(8)
    assert receiver.requests == []
    assert _lost(processor) == {"export_failed": 5}
    (line,) = _lines(caplog)
    assert "certificate does not hold" in line
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in line


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        # or, where the receiver has closed the connection before the request was written, that it has
        ("no client certificate", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE|reset|[Bb]roken pipe"),
        ("another host", "certificate does not hold, Hostname mismatch"),
        ("https to http", "does not speak TLS: write 'http://'"),
        ("http to https", "does not answer in HTTP|answer is broken|reset"),
    ],
)
def test_other_trouble_with_tls_is_bounded_counted_and_said_once(
    process: Process,
    maker: Any,
    receive: Callable[..., Receiver],
    certificates: Path,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
    words: str,
) -> None:
    if wrong == "https to http":
        receiver = receive(greeting=response(400))
    else:
        receiver = receive(context=_server_context(certificates, wants_client=wrong == "no client certificate"))
    scheme = "http" if wrong == "http to https" else "https"
    address = receiver.address.replace("127.0.0.1", "localhost") if wrong == "another host" else receiver.address
    exporter = _exporter(
        f"{scheme}://{address}",
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates / "ca.pem"),
        OTEL_EXPORTER_OTLP_TIMEOUT="700",
    )
    processor = process(exporter)
    maker(processor).end(5)
    began = time.monotonic()
    assert not processor.flush(8)
    assert time.monotonic() - began < 3
    assert _lost(processor) == {"export_failed": 5}
    (line,) = _lines(caplog)
    assert address in line
    assert re.search(words, line)


def test_a_file_that_is_no_certificate_is_an_error_at_once(certificates: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for variable, path in (
        ("CERTIFICATE", tmp_path / "empty.pem"),
        ("CERTIFICATE", tmp_path / "missing.pem"),
        ("CLIENT_CERTIFICATE", tmp_path / "empty.pem"),
        ("CLIENT_KEY", certificates / "client.key"),
    ):
        with pytest.raises(ConfigurationError, match=r"write the path of a PEM file|CLIENT_CERTIFICATE too"):
            _exporter("https://h", **{f"OTEL_EXPORTER_OTLP_{variable}": str(path)})


# ---------------------------------------------------------------------- proxies


def test_a_proxy_of_the_environment_is_used_and_no_proxy_holds(
    process: Process, maker: Any, receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, receiver = receive(), receive()
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@{proxy.address}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for url in ("http://collector.internal:4318", f"http://{receiver.address}"):
        processor = process(_exporter(url))
        maker(processor).end(5)
        assert processor.flush(5)
    (through,) = proxy.requests
    assert through.line == "POST http://collector.internal:4318/v1/traces HTTP/1.1"
    assert through.headers["host"] == "collector.internal:4318"
    assert through.headers["proxy-authorization"].startswith("Basic ")
    assert _count(receiver.requests) == 5


def test_a_proxy_that_is_not_there_is_named(
    process: Process, maker: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    processor = process(_exporter("http://collector.internal:4318"))
    maker(processor).end(1)
    processor.flush(0.3)
    (record,) = caplog.records
    assert record.getMessage().endswith("Connection refused, through the proxy 127.0.0.1:1")


def test_a_redirect_to_nowhere_says_so(
    process: Process, maker: Any, receive: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receive(answer=lambda request: response(302))
    processor = process(_exporter(f"http://{receiver.address}"))
    maker(processor).end(1)
    processor.flush(5)
    (record,) = caplog.records
    assert "and does not say where to" in record.getMessage()


def test_https_goes_through_a_proxy_as_a_tunnel(
    process: Process,
    maker: Any,
    receive: Callable[..., Receiver],
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver = receive(context=_server_context(certificates))
    asked: list[str] = []
    proxy = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65536):
            target.sendall(data)

    def tunnel() -> None:
        client, _ = proxy.accept()
        asked.append(client.recv(65536).decode("latin-1"))
        host, _, port = receiver.address.partition(":")
        onward = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pump, args=(onward, client), daemon=True).start()
        pump(client, onward)

    threading.Thread(target=tunnel, daemon=True).start()
    monkeypatch.setenv("https_proxy", f"http://me:{SECRET}@127.0.0.1:{proxy.getsockname()[1]}")
    exporter = _exporter(f"https://{receiver.address}", OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates / "ca.pem"))
    processor = process(exporter)
    maker(processor).end(150)
    assert processor.flush(8)
    assert _count(receiver.requests) == 150
    assert asked[0].startswith(f"CONNECT {receiver.address} HTTP/1.")
    assert "Proxy-Authorization: Basic" in asked[0]
    assert "proxy-authorization" not in receiver.requests[0].headers
    proxy.close()


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_refuses_is_said_without_its_password(
    process: Process,
    maker: Any,
    receive: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    proxy = receive(answer=lambda request: response(status))
    monkeypatch.setenv("https_proxy", f"http://me:{SECRET}@{proxy.address}")
    processor = process(_exporter("https://collector.internal:4318", OTEL_EXPORTER_OTLP_TIMEOUT="700"))
    maker(processor).end(5)
    assert not processor.flush(8)
    (line,) = _lines(caplog)
    assert str(status) in line
    assert SECRET not in caplog.text


def test_a_proxy_that_is_not_spoken_to_is_one_sentence(
    process: Process, maker: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("http_proxy", f"socks5://me:{SECRET}@127.0.0.1:1")
    processor = process(_exporter("http://collector.internal:4318", OTEL_EXPORTER_OTLP_TIMEOUT="300"))
    maker(processor).end(5)
    assert not processor.flush(8)
    (line,) = _lines(caplog)
    assert "http://host:port" in line
    assert SECRET not in line


# ---------------------------------------------------------------------- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("tls", [False, True])
def test_a_forked_child_has_a_connection_of_its_own(
    process: Process, maker: Any, receive: Callable[..., Receiver], certificates: Path, tls: bool
) -> None:
    receiver = receive(context=_server_context(certificates) if tls else None)
    url = f"http{'s' if tls else ''}://{receiver.address}"
    processor = process(_exporter(url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates / "ca.pem")))
    spans = maker(processor)
    spans.end(5)
    assert processor.flush(5)
    child = os.fork()
    if child == 0:
        spans.end(7)
        os._exit(0 if processor.flush(8) else 1)
    assert os.waitpid(child, 0)[1] == 0
    spans.end(5)
    assert processor.flush(5)
    by_connection = [request.connection for request in receiver.requests]
    assert sorted(by_connection) == [1, 1, 2]
    assert _count(receiver.requests) == 17


def test_gzip_is_gzip(process: Process, maker: Any, receive: Callable[..., Receiver]) -> None:
    receiver = receive()
    processor = process(_exporter(f"http://{receiver.address}"))
    maker(processor).end(3)
    assert processor.flush(5)
    raw = receiver.requests[0].raw_body
    assert raw[:3] == b"\x1f\x8b\x08"
    assert gzip.decompress(raw)
