"""A ClickHouse server of its HTTP interface, as much of it as clickhouse-connect uses, over chdb in this process."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mqtrace.otlp.records import SpanRecord

__all__ = ["ClickHouse"]

_COLUMNS = """
Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
ResourceAttributes {attributes}, ScopeName String, ScopeVersion String, SpanAttributes {attributes}, Duration UInt64,
StatusCode LowCardinality(String), StatusMessage String,
Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {attributes}),
Links Nested (TraceId String, SpanId String, TraceState String, Attributes {attributes})
"""
MAP = "Map(LowCardinality(String), String)"


class ClickHouse:
    """``url``: of the database shop. ``refuse``: what the next questions are answered with, a status and a body."""

    def __init__(self, folder: Path, attributes: str = MAP) -> None:
        session: Any = importlib.import_module("chdb.session")  # it may not be installed, and has no types
        self._session = session.Session(str(folder))
        self._lock = threading.Lock()
        self.refuse: tuple[int, str] | None = None
        self.attributes = attributes
        self.run("CREATE DATABASE IF NOT EXISTS shop")
        self.make_table("otel_traces")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"clickhouse://reader:p%40ss@127.0.0.1:{self._server.server_port}/shop"

    def run(self, query: str, format: str = "TabSeparated", parameters: dict[str, Any] | None = None) -> bytes:
        """A query's answer."""
        with self._lock:
            return bytes(self._session.query(query, format, params=parameters or {}).bytes())

    def make_table(self, name: str) -> None:
        """As the Collector's exporter makes it."""
        self.run(
            f"CREATE TABLE shop.{name} ({_COLUMNS.format(attributes=self.attributes)}) "
            "ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))"
        )

    def insert(self, spans: Iterable[SpanRecord], batch: int = 20_000, *, table: str = "otel_traces") -> None:
        """As the Collector's exporter writes them."""
        rows: list[str] = []
        for span in spans:
            rows.append(json.dumps(_row(span)))
            if len(rows) == batch:
                self._insert(rows, table)
                rows = []
        self._insert(rows, table)

    def _insert(self, rows: list[str], table: str) -> None:
        if rows:
            self.run(f"INSERT INTO shop.{table} FORMAT JSONEachRow " + "\n".join(rows))

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._session.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            def _answer(self, body: bytes) -> None:
                asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
                query = asked.get("query", "") + body.decode()
                format = asked.get("default_format", "TabSeparated")
                if query.rstrip().upper().endswith("FORMAT NATIVE"):
                    query, format = query.rstrip()[: -len("FORMAT NATIVE")], "Native"
                parameters = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
                status, answer = 200, b""
                if stub.refuse is not None:
                    status, answer = stub.refuse[0], stub.refuse[1].encode()
                elif query:
                    try:
                        answer = stub.run(query, format, parameters)
                    except Exception as error:
                        status, answer = 500, str(error).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("X-ClickHouse-Format", format)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _row(span: SpanRecord) -> dict[str, Any]:
    return {
        "Timestamp": f"{span.start // 10**9}.{span.start % 10**9:09d}",
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "ParentSpanId": span.parent_id or "",
        "TraceState": span.trace_state or "",
        "SpanName": span.name,
        "SpanKind": span.kind.capitalize(),
        "ServiceName": span.service or "",
        "SpanAttributes": _texts(span.attributes),
        "Duration": span.duration,
        "ScopeName": span.scope or "",
        "StatusCode": span.status.capitalize(),
        "StatusMessage": span.status_description or "",
        "Events.Timestamp": [f"{event.timestamp // 10**9}.{event.timestamp % 10**9:09d}" for event in span.events],
        "Events.Name": [event.name for event in span.events],
        "Events.Attributes": [_texts(event.attributes) for event in span.events],
        "Links.TraceId": [link.trace_id for link in span.links],
        "Links.SpanId": [link.span_id for link in span.links],
        "Links.TraceState": ["" for _ in span.links],
        "Links.Attributes": [_texts(link.attributes) for link in span.links],
    }


def _texts(attributes: Any) -> dict[str, str]:
    """pcommon.Value.AsString of the Collector."""
    return {
        key: value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
        for key, value in attributes.items()
    }
