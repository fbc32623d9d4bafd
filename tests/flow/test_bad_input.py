"""What a source may hold that it should not, from the file that is read to what a command prints and the page tells."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from mqtrace.cli import main
from mqtrace.flow import Scope
from mqtrace.flow.readers.file import FileReader
from mqtrace.flow.remote import RemoteSource
from mqtrace.flow.store.filled import FilledSource
from mqtrace.otlp.records import SpanRecord

from .encoded import payload
from .page.served import Server, served
from .spans import S, send, span, take

HOUR = 3600 * S
#: What a terminal obeys, and what turns text: C0 but for the line feed, DEL, C1, and the bidirectional controls.
OBEYED = {*map(chr, range(32)), *map(chr, range(127, 160)), *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
OBEYED -= {"\n"}
HOSTILE = "[red]x[/red]<b>\x1b[2J\x1b]8;;http://evil\x07click\x9b31m\u202egnp.\x00\x7f\r\u05e9\u05dc\u05d5\u05dd"


def shop(number: int = 30, ago_s: int = 3600, **facts: Any) -> list[SpanRecord]:
    """Messages a second apart, each handled."""
    begin = time.time_ns() - ago_s * S
    sends = [send(at=begin + n * S, pos=n, **facts) for n in range(number)]
    return [one for sent in sends for one in (sent, take(sent))]


class Followed:
    """A file of messages with their lengths, and the page that follows it."""

    def __init__(self, path: Path, **options: Any) -> None:
        path.touch()
        self.path = path
        self.address = f"file://{path}"
        self._source = FilledSource(FileReader(path), window_s=3600.0, **options)
        self._source.follow()
        self._server: Server = served(self._source)
        self.page = RemoteSource(self._server.address)

    def write(self, *messages: bytes) -> None:
        with self.path.open("ab") as file:
            file.writelines(len(message).to_bytes(4, "big") + message for message in messages)

    def state_where(self, reached: Callable[[Any], bool]) -> Any:
        """Its state, once it is so."""
        ends = time.monotonic() + 60
        while not reached(state := self.page.state()):
            assert time.monotonic() < ends, state
            time.sleep(0.05)
        return state

    def close(self) -> None:
        self._server.close()
        self._source.close()


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    made = Followed(tmp_path / "spans.pb", keep_s=72 * 3600.0)
    yield made
    made.close()


def read_of(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict[str, Any]]:
    """The lines of a command with --json."""
    main([*command, "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_is_no_otlp_and_half_a_message_are_counted_and_the_rest_is_read(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = payload(shop())
    followed.write(b"hello", b"\xff" * 50, whole[:-7], b'{"resourceSpans": [{', whole)
    state = followed.state_where(lambda state: state["spans"] == 60)
    assert (state["messages_malformed"], state["trouble"]) == (4, None)
    (row,) = followed.page.flow(Scope())
    assert row["messages"] == 30
    assert main(["flow", followed.address, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["messages"] == 30
    assert "4 messages held no OTLP" in told.err


def test_a_file_that_ends_in_the_middle_of_a_message_is_read_up_to_there(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = payload(shop(5)), payload(shop(7))
    followed.write(first)
    with followed.path.open("ab") as file:
        file.write((len(second).to_bytes(4, "big") + second)[:-9])
    assert read_of(capsys, "flow", followed.address)[0]["messages"] == 5
    followed.state_where(lambda state: state["spans"] == 10)
    with followed.path.open("ab") as file:
        file.write(second[-9:])
    assert followed.state_where(lambda state: state["spans"] == 24)["messages_malformed"] == 0


@pytest.mark.timeout(240)
def test_an_attribute_of_ten_megabytes_is_cut_and_says_so(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    large = "x" * 10_000_000
    one = span("POST /orders", "server", time.time_ns(), body=large, service="front")
    named = span(large, "server", time.time_ns() + 1, parent=one, service=large, **{large: 1})
    followed.write(payload([one]), payload([named]))  # the second one has 30 MB
    followed.state_where(lambda state: state["spans"] == 2)
    told = followed.page.trace(one.trace_id)
    assert told is not None
    assert len(json.dumps(told)) < 1_000_000
    assert str(told["spans"][0]["attributes"]["body"]).endswith("(cut at 64 KB)")
    assert told["spans"][1]["name"].endswith("(cut at 64 KB)")
    first, second = read_of(capsys, "trace", followed.address, one.trace_id)
    assert len(first["attributes"]["body"]) == 65_536
    assert len(second["service"]) == 65_536
    for command in (
        ["trace", followed.address, one.trace_id],
        ["flow", followed.address],
        ["traces", followed.address],
    ):
        assert main(command) == 0
        assert len(capsys.readouterr().out) < 1_000_000


@pytest.mark.timeout(240)
def test_a_trace_of_twenty_thousand_spans_is_cut_and_says_so(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.time_ns() - 60 * S
    root = span("POST /orders", "server", begin)
    spans = [root, *(span("step", "internal", begin + n, parent=root) for n in range(20_000))]
    followed.write(*(payload(spans[at : at + 500]) for at in range(0, len(spans), 500)))
    followed.state_where(lambda state: state["spans"] == 20_001)
    told = followed.page.trace(root.trace_id)
    assert told is not None
    assert (len(told["spans"]), told["omitted"]) == (10_000, 10_001)
    assert main(["trace", followed.address, root.trace_id]) == 0
    assert "10001 spans more are not shown" in capsys.readouterr().out
    ends = ["--quiet-seconds", "1", "--limit", "1", "--timeout", "60"]
    assert main(["tail", followed.address, "--from-beginning", *ends]) == 0
    assert "10001 spans more are not shown" in capsys.readouterr().out


def test_no_name_is_obeyed_by_a_terminal(
    followed: Followed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.time_ns() - HOUR
    names = {"service": HOSTILE, "to": HOSTILE, HOSTILE: HOSTILE}
    sends = [send(at=begin + n * S, pos=n, **names) for n in range(30)]
    failed: dict[str, Any] = {**names, "service": f"{HOSTILE}2", "group": HOSTILE, "failed": True, "error": HOSTILE}
    taken = [take(one, **failed) for one in sends if one is not sends[7]]
    followed.write(payload([*sends, *taken]))
    source, one = followed.address, sends[7].trace_id
    for width in ("80", "140"):
        monkeypatch.setenv("COLUMNS", width)
        for command in (
            ["flow", source],
            ["missing", source],
            ["traces", source],
            ["trace", source, one],
            ["tail", source, "--from-beginning", "--quiet-seconds", "0.2", "--limit", "30", "--timeout", "20"],
        ):
            main(command)
            told = capsys.readouterr()
            assert not OBEYED & {*told.out, *told.err}, command
            assert max(map(len, told.out.splitlines())) <= int(width)
    for command in (["flow", source], ["missing", source], ["traces", source], ["trace", source, one]):
        main([*command, "--json"])
        line = capsys.readouterr().out
        assert line.isascii(), "JSON says it in escapes"
        assert "\\u001b[2J" in line
    followed.state_where(lambda state: state["spans"] == 59)
    row = followed.page.flow(Scope())[0]
    assert (row["sender"], row["sent_to"], row["subscription"]) == (HOSTILE, HOSTILE, HOSTILE)


def test_clocks_that_disagree_make_no_wait_below_zero_and_nothing_missing(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.time_ns() - HOUR + 600 * S
    sends = [send(at=begin + n * S, pos=n) for n in range(30)]
    followed.write(payload([*sends, *(take(one, at=one.start - 300 * S) for one in sends)]))
    (row,) = read_of(capsys, "flow", followed.address)
    assert (row["messages"], row["deliveries"], row["wait_p50_ms"], row["wait_p99_ms"]) == (30, 30, 0.0, 0.0)
    assert main(["missing", followed.address]) == 0
    assert main(["trace", followed.address, sends[0].trace_id]) == 0
    followed.state_where(lambda state: state["spans"] == 60)
    assert followed.page.missing(Scope()) == []
    told = followed.page.trace(sends[0].trace_id)
    assert told is not None
    assert all((one["wait_ms"] or 0) >= 0 and one["offset_ms"] >= 0 for one in told["spans"])


def test_a_span_from_the_future_is_there_and_breaks_nothing(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    followed.write(payload([*shop(), span("far", "server", (1 << 64) - 2 * S, length=S)]))
    state = followed.state_where(lambda state: state["spans"] == 61)
    assert state["age_s"] == 0
    assert len(followed.page.flow(Scope())) == 1
    for command in ("flow", "missing", "traces"):
        assert main([command, followed.address]) == 0
        assert "Traceback" not in capsys.readouterr().err


def test_what_comes_again_counts_once(followed: Followed, capsys: pytest.CaptureFixture[str]) -> None:
    spans = shop()
    followed.write(payload(spans), payload(spans))
    followed.state_where(lambda state: state["spans"] == 60 and state["behind"] == 0)
    followed.write(payload(spans[:31]), payload(shop(3)))
    followed.state_where(lambda state: state["spans"] == 66)
    (row,) = followed.page.flow(Scope())
    assert (row["messages"], row["deliveries"]) == (33, 33)
    assert [(row["messages"], row["deliveries"]) for row in read_of(capsys, "flow", followed.address)] == [(33, 33)]


def test_a_delivery_that_comes_a_day_late_is_joined_with_its_send(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    yesterday = shop(30, ago_s=26 * 3600)
    late = yesterday.pop(15)
    assert late.kind == "consumer"
    followed.write(payload(yesterday))
    followed.state_where(lambda state: state["spans"] == 59)
    assert [row["state"] for row in followed.page.missing(Scope())] == ["passed over"]
    followed.write(payload(shop(3, ago_s=30)), payload([late]))
    followed.state_where(lambda state: state["spans"] == 66)
    assert followed.page.missing(Scope()) == []
    assert main(["missing", followed.address]) == 0
    capsys.readouterr()
    assert sum(row["messages"] for row in read_of(capsys, "flow", followed.address)) == 33


def reads(capsys: pytest.CaptureFixture[str], commands: Iterable[list[str]]) -> Iterator[str]:
    """The one sentence that each of them ends with."""
    for command in commands:
        assert main(command) == 2, command
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1
        yield err


@pytest.mark.parametrize(
    ("whole", "said"),
    [(True, "was written by another version of DuckDB: read the topic again"), (False, "is damaged: read the topic")],
)
def test_a_duckdb_file_of_another_version_or_a_damaged_one_is_one_sentence(
    whole: bool, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The storage version stands behind the four bytes that say what it is, and a checksum of these before them."""
    path = tmp_path / "spans.duckdb"
    FilledSource(FileReader(_empty(tmp_path)), path).close()
    body = bytearray(path.read_bytes())
    assert body[8:12] == b"DUCK"
    assert body[:8] == _checksum(body[8:4096])
    body[12:20] = (9_999).to_bytes(8, "little")
    if whole:
        body[:8] = _checksum(body[8:4096])
    path.write_bytes(body)
    file = f"file://{_empty(tmp_path)}"
    commands = (["flow", str(path)], ["ui", str(path), "--port", "0"], ["ui", file, "--db", str(path), "--port", "0"])
    for err in reads(capsys, commands):
        assert said in err
    assert path.read_bytes() == body, "it is left as it was"


def _checksum(block: bytes | bytearray) -> bytes:
    """As DuckDB makes it."""
    found = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        found ^= word * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    return found.to_bytes(8, "little")


def _empty(folder: Path) -> Path:
    path = folder / "empty.jsonl"
    path.touch()
    return path


def test_a_clickhouse_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("clickhouse_connect", reason="the extra clickhouse is not installed")
    address = "clickhouse://reader:s3cret@127.0.0.1:1/otel"
    for err in reads(capsys, (["flow", address], ["tail", address], ["ui", address, "--port", "0"])):
        assert "127.0.0.1:1" in err
        assert "s3cret" not in err
