"""The store: each span once, whatever ends the process; how much it keeps; what it refuses."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from mqtrace.flow import Scope, SourceError
from mqtrace.flow.readers.file import FileReader
from mqtrace.flow.store.database import Database
from mqtrace.flow.store.file_source import DatabaseSource
from mqtrace.flow.store.filled import FilledSource
from mqtrace.flow.store.ingest import Ingest
from mqtrace.flow.store.retention import Retention
from mqtrace.otlp.columns import Columns
from mqtrace.otlp.columns_record import add
from mqtrace.otlp.records import SpanRecord

from .spans import MS, OLD, S, send, span, take

MakeTopic = Callable[..., str]


def payload(numbers: Iterable[int], at: int | None = None) -> bytes:
    """A TracesData with a span for each of these numbers."""
    data = TracesData()
    scope = data.resource_spans.add().scope_spans.add()
    begin = time.time_ns() if at is None else at
    for number in numbers:
        scope.spans.add(
            trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name=f"span {number % 7}", kind=1,
            start_time_unix_nano=begin + number, end_time_unix_nano=begin + number + MS,
        )  # fmt: skip
    return bytes(data.SerializeToString())


def framed(*payloads: bytes) -> bytes:
    return b"".join(len(one).to_bytes(4, "big") + one for one in payloads)


class Memory:
    """A reader of what a test gives it."""

    kind = "topic"
    shown = "memory"
    identity = "memory"
    trouble: str | None = None

    def __init__(self) -> None:
        self.payloads: list[bytes | None] = []
        self.at = 0
        self.closed = False

    def start(self, read_to: Mapping[str, int]) -> None:
        self.at = read_to.get("here", 0)

    def read(self, timeout: float) -> list[bytes | None]:
        found = self.payloads[self.at : self.at + 10]
        self.at += len(found)
        if not found:
            time.sleep(min(timeout, 0.01))
        return found

    def read_to(self) -> dict[str, int]:
        return {"here": self.at}

    @property
    def behind(self) -> int:
        return len(self.payloads) - self.at

    @property
    def at_end(self) -> bool:
        return self.behind == 0

    def close(self) -> None:
        self.closed = True


def until(reached: Callable[[], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.02)


def ingest_of(path: Path, spans: Iterable[SpanRecord]) -> tuple[Database, Ingest]:
    database = Database(path)
    ingest = Ingest(database)
    columns = Columns()
    for one in spans:
        add(one, columns)
    ingest.add(columns)
    ingest.commit({})
    return database, ingest


# ---------------------------------------------------------------- each span once


_INGEST = """
import sys
from pathlib import Path
from mqtrace.flow.store.filled import FilledSource
from mqtrace.flow.store import filled
from mqtrace.flow.readers import topic
from mqtrace.flow.readers.topic import TopicReader, parse
filled._OFTEN_S, filled._MOST_ROWS, topic._AT_MOST = 0.0, 500, 4
source = FilledSource(TopicReader(parse(sys.argv[1])), Path(sys.argv[2]))
print("began", flush=True)
source.fill(lambda spans, behind: print(spans, flush=True))
print("done", source.state()["spans"], flush=True)
source.close()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_after_twenty_kills_in_the_middle_of_reading_each_span_is_there_once(
    span_topic: MakeTopic, tmp_path: Path
) -> None:
    """One batch came twice on the topic itself."""
    batches = [payload(range(1 + 100 * n, 101 + 100 * n)) for n in range(300)]
    topic = span_topic(*batches[:150], batches[3], *batches[150:])
    path = tmp_path / "spans.duckdb"
    chance = random.Random(7)
    command = [sys.executable, "-c", _INGEST, topic, str(path)]
    seen: list[int] = []
    for _ in range(20):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n", process.stderr and process.stderr.read()
        for _ in range(chance.randrange(4)):
            process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.01))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        with duckdb.connect(str(path)) as con:
            (count,) = con.execute("SELECT count(*) FROM span").fetchone() or (0,)
            (read,) = con.execute("SELECT coalesce(sum(next), 0)::INT FROM read_to").fetchone() or (0,)
        assert count in (100 * read, 100 * (read - 1))
        seen.append(count)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "done 30000"
    with duckdb.connect(str(path)) as con:
        assert con.execute("SELECT count(*), count(DISTINCT span), max(span) FROM span").fetchone() == (
            30_000, 30_000, 30_000,
        )  # fmt: skip
    assert len({count for count in seen if 0 < count < 30_000}) > 5, "too few kills came in the middle"


def test_a_span_that_came_before_is_left_out_and_a_later_one_is_not(tmp_path: Path) -> None:
    database, ingest = ingest_of(tmp_path / "s.duckdb", [span("a", "server", OLD), span("b", "server", OLD)])
    again = Columns()
    first = send(at=OLD)
    for one in (first, first, take(first)):
        add(one, again)
    ingest.add(again)
    assert ingest.commit({"x": 5}) == 2
    once_more = Columns()
    add(first, once_more)
    add(span("c", "server", OLD - 86_400 * S), once_more)
    ingest.add(once_more)
    assert ingest.commit({"x": 6}) == 1
    assert (ingest.spans, ingest.duplicates, ingest.read_to()) == (5, 2, {"x": 6})
    assert database.rows("SELECT count(*) AS n, count(DISTINCT n) AS numbers FROM span", {}) == [{"n": 5, "numbers": 5}]
    database.close()


def test_what_was_read_is_there_after_a_restart_and_reading_goes_on(tmp_path: Path) -> None:
    reader = Memory()
    reader.payloads = [payload(range(1, 11)), payload(range(11, 21))]
    source = FilledSource(reader, tmp_path / "s.duckdb")
    source.fill()
    source.close()
    assert reader.closed
    reader.payloads.append(payload(range(21, 31)))
    source = FilledSource(reader, tmp_path / "s.duckdb")
    assert (source.state()["spans"], source.state()["behind"]) == (20, 1)
    source.fill()
    assert source.state()["spans"] == 30
    source.close()


def test_a_file_that_was_filled_from_another_source_is_refused(tmp_path: Path) -> None:
    FilledSource(Memory(), tmp_path / "s.duckdb").close()
    other = Memory()
    other.identity = "topic b of cluster c"
    with pytest.raises(SourceError, match="was filled from memory, not from topic b of cluster c"):
        FilledSource(other, tmp_path / "s.duckdb")
    assert other.closed


def test_it_follows_and_says_what_is_behind_and_how_old(tmp_path: Path) -> None:
    reader = Memory()
    reader.payloads = [payload([1], at=time.time_ns() - 50 * S)]
    source = FilledSource(reader, window_s=3600.0)
    source.follow()
    until(lambda: source.state()["spans"] == 1)
    state = source.state()
    assert 49 < (state["age_s"] or 0) < 80
    assert (state["behind"], state["trouble"], state["window_s"], state["kind"]) == (0, None, 3600.0, "topic")
    began = time.monotonic()
    reader.payloads.append(payload([2]))
    until(lambda: source.state()["spans"] == 2)
    assert time.monotonic() - began < 10
    assert source.traces(Scope(), limit=5)
    source.close()


def test_malformed_messages_are_counted(tmp_path: Path) -> None:
    reader = Memory()
    reader.payloads = [b"hello", None, payload([1]), payload([2])[:-3]]
    source = FilledSource(reader)
    source.fill()
    assert (source.state()["messages_malformed"], source.state()["spans"]) == (3, 1)
    source.close()


# ---------------------------------------------------------------- a disk that is full, a file in use


def test_while_the_disk_is_full_nothing_is_lost_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mqtrace.flow.store import filled, ingest

    monkeypatch.setattr(filled, "_RETRY_S", 0.05)
    full = True
    append = ingest._append

    def failing(*arguments: Any) -> None:
        append(*arguments)
        if full:
            raise duckdb.IOException("Could not write file: No space left on device")

    monkeypatch.setattr(ingest, "_append", failing)
    reader = Memory()
    reader.payloads = [payload(range(1 + 10 * n, 11 + 10 * n)) for n in range(50)]
    source = FilledSource(reader)
    source.follow()
    until(lambda: source.state()["trouble"] is not None)
    assert "the disk is full" in (source.state()["trouble"] or "")
    assert source.traces(Scope()) == []
    full = False
    until(lambda: source.state()["spans"] == 500)
    until(lambda: source.state()["trouble"] is None)
    source.close()


def test_a_file_in_use_by_another_process_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    Database(path).close()
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(SourceError, match=r"is in use by another process: ask its page"):
            DatabaseSource(path)
        holder.communicate(b"")


def test_nothing_in_a_query_reaches_another_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "s.duckdb")
    for query in (
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY span TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ):
        with pytest.raises(SourceError, match="cannot be read"):
            database.rows(query, {})
    database.close()


def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mqtrace.flow.store import database as module

    monkeypatch.setattr(module, "MOST_SECONDS", 0.2)
    database = Database(tmp_path / "s.duckdb")
    with pytest.raises(SourceError, match="took longer than 0 s: ask about a shorter time"):
        database.rows("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3", {})
    database.close()


# ---------------------------------------------------------------- retention


def test_what_is_older_than_keep_is_deleted_with_its_links(tmp_path: Path) -> None:
    now = time.time_ns()
    old, young = now - 7200 * S, now - 60 * S
    sends = [send(at=old), send(at=young)]
    spans = [*sends, span("process", "consumer", old + S, links=sends), span("process", "consumer", young, links=sends)]
    database, ingest = ingest_of(tmp_path / "s.duckdb", spans)
    Retention(database, ingest, 3600.0, None).apply()
    assert ingest.spans == 2
    assert ingest.oldest_ns == young
    assert database.rows("SELECT count(*) AS n FROM link", {}) == [{"n": 2}]
    database.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_file_stays_below_one_and_a_half_times_the_size(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    most = 20_000_000
    database = Database(path, most_bytes=most)
    ingest = Ingest(database)
    retention = Retention(database, ingest, None, most)
    chance = random.Random(1)
    largest = 0
    begin = time.time_ns() - 3600 * S
    for turn in range(60):
        columns = Columns()
        for number in range(10_000):
            at = begin + (turn * 10_000 + number) * 10**6
            add(
                span("s", "server", at, id=f"{chance.getrandbits(64) | 1:016x}", body=chance.randbytes(30).hex()),
                columns,
            )
        ingest.add(columns)
        ingest.commit({})
        retention.apply_when_due()
        wal = path.with_name("s.duckdb.wal")
        largest = max(largest, path.stat().st_size + (wal.stat().st_size if wal.exists() else 0))
    assert 0.6 * most < largest < 1.5 * most
    assert 50_000 < ingest.spans < 500_000
    assert (ingest.oldest_ns or 0) > begin
    database.close()


# ---------------------------------------------------------------- files


def read_all(reader: FileReader) -> list[bytes | None]:
    found: list[bytes | None] = []
    for _ in range(5):
        found += reader.read(0.0)
    return found


def test_a_file_of_lines_is_followed_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n{"a"')
    reader = FileReader(path)
    reader.start({})
    assert read_all(reader)[:2] == [b'{"a": 1}', b'{"a": 2}']
    with path.open("ab") as file:
        file.write(b': 3}\n\n{"a": 4}\n')
    assert read_all(reader) == [b'{"a": 3}', b'{"a": 4}']
    read_to = reader.read_to()
    reader.close()
    again = FileReader(path)
    again.start(read_to)
    assert read_all(again) == []
    again.close()


def test_a_file_of_messages_with_their_lengths_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s"
    whole = framed(b"one", b"two" * 1000, b"")
    path.write_bytes(whole[:-2])
    reader = FileReader(path)
    reader.start({})
    assert read_all(reader) == [b"one", b"two" * 1000]
    with path.open("ab") as file:
        file.write(whole[-2:] + framed(b"three"))
    assert read_all(reader) == [b"", b"three"]
    reader.close()


def test_a_file_that_was_replaced_is_read_anew_and_one_that_is_gone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"1\n2\n")
    reader = FileReader(path)
    reader.start({})
    assert read_all(reader) == [b"1", b"2"]
    (tmp_path / "new").write_bytes(b"3\n")
    os.replace(tmp_path / "new", path)
    assert read_all(reader) == [b"3"]
    path.unlink()
    read_all(reader)
    assert "is gone" in (reader.trouble or "")
    reader.close()


def test_a_trace_of_twenty_thousand_spans_is_cut_and_says_so(tmp_path: Path) -> None:
    root = span("root", "server", OLD)
    spans = [root, *(span("child", "internal", OLD + n, parent=root) for n in range(20_000))]
    database, _ = ingest_of(tmp_path / "s.duckdb", spans)
    database.close()
    source = DatabaseSource(tmp_path / "s.duckdb")
    told = source.trace(root.trace_id)
    assert told is not None
    assert (len(told["spans"]), told["omitted"]) == (10_000, 10_001)
    (row,) = source.traces(Scope(), limit=5)
    assert (row["spans"], row["root"]) == (20_001, "root")
    source.close()
