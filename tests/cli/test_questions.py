"""``mqtrace flow``, ``missing``, ``traces``, ``trace``: what they print, and what they end with."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("duckdb", reason="the extra flow is not installed")

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from mqtrace.cli import main
from mqtrace.flow import AskError, Source, SourceError, answer
from mqtrace.flow.fake import Fake
from mqtrace.flow.store.database import Database

MakeTopic = Callable[..., str]
S = 10**9
TRACE = "00" * 15 + "01"


def message(number: int, at: int, handled: bool = True, service: str = "front", to: str = "orders") -> bytes:
    """A send of message ``number`` at offset ``number``, and its delivery, as one TracesData."""
    data = TracesData()
    trace = number.to_bytes(16, "big")
    spans: list[tuple[str, Span]] = [
        (service, Span(trace_id=trace, span_id=b"\1" * 8, name=f"send {to}", kind=Span.SPAN_KIND_PRODUCER)),
    ]
    if handled:
        process = Span(
            trace_id=trace, span_id=b"\2" * 8, parent_span_id=b"\1" * 8, name="process", kind=Span.SPAN_KIND_CONSUMER
        )
        process.links.add(trace_id=trace, span_id=b"\1" * 8)
        process.attributes.add(key="messaging.consumer.group.name", value=AnyValue(string_value="payments"))
        spans.append(("back", process))
    for place, (name, span) in enumerate(spans):
        span.start_time_unix_nano, span.end_time_unix_nano = at + place * 5_000_000, at + place * 5_000_000 + 2_000_000
        for key, value in {
            "messaging.system": "kafka",
            "messaging.destination.name": to,
            "messaging.destination.partition.id": "0",
        }.items():
            span.attributes.append(KeyValue(key=key, value=AnyValue(string_value=value)))
        span.attributes.append(KeyValue(key="messaging.kafka.offset", value=AnyValue(int_value=number)))
        resource = data.resource_spans.add()
        resource.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value=name)))
        resource.scope_spans.add().spans.append(span)
    return bytes(data.SerializeToString())


def messages(lost: int | None = None, **facts: Any) -> list[bytes]:
    """Thirty of them, an hour ago."""
    begin = time.time_ns() - 3600 * S
    return [message(number, begin + number * S, number != lost, **facts) for number in range(1, 31)]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


_FLOW_KEYS = [
    *("sender", "sent_to", "taken_from", "receiver", "subscription", "system", "messages", "deliveries", "send_errors"),
    *("errors", "retries", "dead_letters", "wait_p50_ms", "wait_p99_ms", "work_p50_ms", "work_p99_ms"),
]


def test_flow_of_a_topic_is_a_row_a_pair(span_topic: MakeTopic, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", span_topic(*messages()), "--json"]) == 0
    (row,) = lines(capsys)
    assert list(row) == _FLOW_KEYS
    assert (row["sender"], row["sent_to"], row["receiver"], row["messages"]) == ("front", "orders", "back", 30)
    assert (row["wait_p50_ms"], row["work_p50_ms"]) == (5.0, 2.0)


def test_missing_ends_with_1_where_a_message_is_and_with_0_where_none_is(
    span_topic: MakeTopic, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["missing", span_topic(*messages()), "--json"]) == 0
    assert lines(capsys) == []
    assert main(["missing", span_topic(*messages(lost=7)), "--json"]) == 1
    (row,) = lines(capsys)
    assert list(row) == ["sent_to", "subscription", "state", "messages", "oldest", "example", "share"]
    assert row["state"] == "passed over"
    assert row["example"] == f"{7:032x}"


def test_the_tables_fit_80_columns_and_say_what_their_numbers_are(
    span_topic: MakeTopic, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    topic = span_topic(*messages(lost=7, service="a-service-with-a-name-of-sixty-characters-as-some-teams-like-them"))
    for command, said in (
        (["flow", topic], "wait: from the send"),
        (["missing", topic], "passed over: the group handled a later offset"),
        (["traces", topic], "The newest traces"),
    ):
        main(command)
        out = capsys.readouterr().out
        assert said in " ".join(out.split())
        assert max(len(line) for line in out.splitlines()) <= 80


def test_a_name_is_never_interpreted(span_topic: MakeTopic, capsys: pytest.CaptureFixture[str]) -> None:
    topic = span_topic(*messages(lost=7, service="[red]x[/red]\x1b[2J\u202egnp\n", to="[link=http://evil]t\x07"))
    for command in ("flow", "missing", "traces"):
        main([command, topic])
        out = capsys.readouterr().out
        assert not {"\x1b", "\u202e", "\x07"} & set(out)
        assert "[red]x[/red]" in out.replace("\n", "") or command == "missing"
    main(["flow", topic, "--json"])
    assert "\x1b" not in capsys.readouterr().out


def test_traces_and_a_trace_are_drawn_and_told(span_topic: MakeTopic, capsys: pytest.CaptureFixture[str]) -> None:
    topic = span_topic(*messages())
    assert main(["traces", topic, "--json", "--limit", "2"]) == 0
    rows = lines(capsys)
    assert [list(row) for row in rows] == [
        ["trace_id", "root", "start", "duration_ms", "spans", "services", "errors"]
    ] * 2
    assert [row["trace_id"] for row in rows] == [f"{30:032x}", f"{29:032x}"]
    assert main(["trace", topic, TRACE, "--json"]) == 0
    spans = lines(capsys)
    assert [list(span) for span in spans] == [
        ["trace_id", "span_id", "parent_id", "service", "name", "kind", "start", "duration_ms", "attributes"]
    ] * 2
    assert spans[1]["attributes"]["messaging.kafka.offset"] == 1
    assert main(["trace", topic, TRACE.upper()]) == 0
    assert "send orders" in capsys.readouterr().out


def test_an_unknown_trace_is_a_sentence_and_1(span_topic: MakeTopic, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", span_topic(*messages()), "f" * 32]) == 1
    assert capsys.readouterr().err == f"mqtrace: there is no span of trace {'f' * 32}\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ["trace", "x.duckdb", "123"],
        ["flow", "x.duckdb", "--last", "soon"],
        ["missing", "x.duckdb", "--after", "never"],
        ["traces", "x.duckdb", "--limit", "0"],
        ["traces", "x.duckdb", "--slowest", "--newest"],
        ["traces", "x.duckdb", "--attribute", "key"],
        ["ui", "x.duckdb", "--max-size", "big"],
        ["ui", "x.duckdb", "--port", "70000"],
    ],
)
def test_a_wrong_argument_is_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.duckdb", "there is no file 'nothing.duckdb'"),
        ("file:///no/such/file.jsonl", "cannot be read"),
        ("file:///", "is a folder"),
        ("ftp://host/x", "is not a source of spans"),
        ("http://127.0.0.1:1", "no page answers at http://127.0.0.1:1"),
        ("http://user:secret@127.0.0.1:1", "is not the address of a page"),
        ("kafka://127.0.0.1:1/t", "no Kafka broker answers"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_sentence_and_2(
    source: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["flow", source]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert "secret" not in err


def test_a_topic_that_is_not_there_is_one_sentence_and_2(
    span_topic: MakeTopic, capsys: pytest.CaptureFixture[str], embedded: Any
) -> None:
    address = span_topic().rpartition("/")[0]
    real = os.environ.get("KAFKA_BOOTSTRAP")
    if real is None:
        pytest.skip("the embedded broker makes any topic that it is asked for")
    assert main(["flow", f"kafka://{real}/mqtrace-flow-no-such-topic"]) == 2
    assert "there is no topic mqtrace-flow-no-such-topic" in capsys.readouterr().err
    assert address


def write_file(path: Path, payloads: list[bytes]) -> str:
    """As the Collector's file exporter writes protobuf: four bytes of length before each."""
    path.write_bytes(b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads))
    return f"file://{path}"


def test_every_source_gives_the_same_rows(
    span_topic: MakeTopic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payloads = messages(lost=7)
    found = []
    for source in (span_topic(*payloads), write_file(tmp_path / "spans", payloads)):
        main(["flow", source, "--json"])
        main(["missing", source, "--json"])
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 3


def test_what_is_no_otlp_is_counted_and_said(span_topic: MakeTopic, capsys: pytest.CaptureFixture[str]) -> None:
    whole = messages()
    topic = span_topic(b"hello", None, whole[0][:40], b"", *whole, b'{"resourceSpans": 1}')
    assert main(["flow", topic, "--json"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["messages"] == 30
    assert "4 messages held no OTLP" in out.err


@pytest.mark.parametrize("command", ["flow", "missing", "traces"])
def test_a_topic_or_a_file_of_something_else_is_not_answered_from(
    command: str, span_topic: MakeTopic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a topic that is no span topic, "nothing is missing" would be true and misleading."""
    (tmp_path / "notes.txt").write_text("hello\nthere\n")
    for source in (span_topic(b"hello", b"there"), f"file://{tmp_path / 'notes.txt'}"):
        assert main([command, source]) == 2
        out = capsys.readouterr()
        assert out.out == ""
        assert "has no spans, and 2 messages that are no OTLP" in out.err
        assert len(out.err.splitlines()) == 1


def test_a_source_without_messages_is_answered_from(tmp_path: Path) -> None:
    (tmp_path / "spans.jsonl").write_text("")
    assert main(["missing", f"file://{tmp_path / 'spans.jsonl'}"]) == 0


def test_a_file_of_somebody_else_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import duckdb

    junk, foreign, newer = (tmp_path / name for name in ("junk.duckdb", "foreign.duckdb", "newer.duckdb"))
    junk.write_text("hello " * 2000)
    duckdb.connect(str(foreign)).close()
    with_version = Database(newer)
    with_version.writer.execute("UPDATE about SET value = '99'")
    with_version.close()
    for path, said in (
        (junk, "is not a DuckDB file"),
        (foreign, "holds no spans of mqtrace"),
        (newer, "another version of mqtrace"),
    ):
        assert main(["flow", str(path)]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert len(err.splitlines()) == 1


def test_a_file_that_is_named_the_other_way_is_told_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    otlp = tmp_path / "spans.jsonl"
    write_file(otlp, messages())
    Database(tmp_path / "spans.duckdb").close()
    for source, said in (
        (str(otlp), f"write file://{otlp}"),
        (f"file://{tmp_path}/spans.duckdb", "is a DuckDB file: write its path alone"),
        (str(tmp_path), "is a folder"),
    ):
        assert main(["flow", source]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert len(err.splitlines()) == 1


def test_a_message_may_be_missing_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_file(tmp_path / "spans", messages(lost=7))
    assert main(["missing", source, "--json", "--after", "0s"]) == 1
    assert lines(capsys)


def test_a_clickhouse_that_is_not_there_is_one_sentence() -> None:
    asking = ["flow", "clickhouse://u:secret@127.0.0.1:1/db"]
    asked = subprocess.run(
        [sys.executable, "-c", "from mqtrace.cli import main; raise SystemExit(main())", *asking],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 2
    assert asked.stderr == "mqtrace: no ClickHouse answers at 127.0.0.1:1: start one, or correct the address\n"


@pytest.fixture
def page() -> Iterator[Callable[[Source], str]]:
    """A stand-in for the page's server: what it answers is what ``answer`` says."""
    servers: list[ThreadingHTTPServer] = []

    def serve(source: Source) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                try:
                    status, told = 200, answer(source, parts.path.removeprefix("/api/"), parse_qs(parts.query))
                except AskError as error:
                    status, told = 400, {"error": str(error)}
                except SourceError as error:
                    status, told = 503, {"error": str(error)}
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_running_page_is_a_source(page: Callable[[Source], str], capsys: pytest.CaptureFixture[str]) -> None:
    fake = Fake()
    address = page(fake)
    assert main(["flow", address, "--json", "--service", "pay*"]) == 0
    assert lines(capsys) == answer(fake, "flow", {"service": ["pay*"]})
    assert main(["missing", address, "--json"]) == 1
    capsys.readouterr()
    (newest,) = answer(fake, "traces", {"limit": ["1"]})
    assert main(["traces", address, "--json", "--limit", "1", "--last", "2h"]) == 0
    assert lines(capsys) == [newest]
    assert main(["trace", address, newest["trace_id"]]) == 0
    assert main(["trace", address, "f" * 32]) == 1
    capsys.readouterr()
    assert main(["flow", address]) == 0
    assert "the last 1 h (--last says otherwise)" in capsys.readouterr().out


def test_a_page_whose_source_is_gone_is_one_sentence(
    page: Callable[[Source], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flow", page(Fake(trouble="no Kafka broker answers at nowhere:9092"))]) == 2
    assert "answers 503: no Kafka broker answers at nowhere:9092" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read what nobody may")
def test_a_file_without_permission_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret.jsonl"
    path.write_text("{}\n")
    path.chmod(stat.S_IWUSR)
    assert main(["flow", f"file://{path}"]) == 2
    assert "cannot be read: Permission denied" in capsys.readouterr().err


def test_who_watches_sees_how_far_reading_is_and_nobody_else_does(tmp_path: Path) -> None:
    """A line of stderr that is written over, and gone at the end; stdout has the answer alone."""
    source = write_file(tmp_path / "spans", messages() * 2_000)
    command = [sys.executable, "-m", "mqtrace.cli", "flow", source, "--json"]
    seen, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, text=True) as running:
        os.close(terminal)
        written = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while part := os.read(seen, 65_536):
                written += part
        assert running.stdout is not None
        assert json.loads(running.stdout.read())["messages"] == 30
    os.close(seen)
    lines = written.decode().split("\r\x1b[K")
    assert re.fullmatch(rf"mqtrace: reading {source}: [0-9,]+ spans, [0-9,]+ bytes to go", lines[1])
    assert lines[-1] == "", "it is taken away"
    quiet = subprocess.run(command, capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
