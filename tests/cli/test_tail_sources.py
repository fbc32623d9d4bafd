"""``mqtrace tail`` of every source: the same traces as of a topic; only what comes, or also what is there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra flow is not installed")
pytest.importorskip("starlette", reason="the extra ui is not installed")

from mqtrace.cli import main
from mqtrace.flow import Source
from mqtrace.flow.store.database import Database
from mqtrace.flow.store.file_source import DatabaseSource
from mqtrace.flow.store.filled import FilledSource
from mqtrace.flow.store.ingest import Ingest
from mqtrace.otlp.columns import Columns
from mqtrace.otlp.columns_record import add
from mqtrace.otlp.records import SpanRecord
from tests.flow.encoded import json_line, payload, write_framed, write_lines
from tests.flow.page.served import Server, served
from tests.flow.spans import S, batch, send, span, take

MakeTopic = Callable[..., str]


def order(number: int, at: int, **facts: Any) -> list[SpanRecord]:
    """A request, what it sent, and who took it."""
    root = span(f"POST /orders/{number}", "server", at)
    sent = send(at=at + 1, pos=number, parent=root)
    return [root, sent, take(sent, at + S // 100, latency=None, **facts)]


def orders(ago_s: int = 60) -> list[SpanRecord]:
    """Three, of which the second failed, and a batch of another trace that took the first and the last."""
    begin = time.time_ns() - ago_s * S
    made = [order(n, begin + n * S, **({"failed": True, "error": "ValueError"} if n == 2 else {})) for n in (1, 2, 3)]
    return [one for each in made for one in each] + [batch([made[0][1], made[2][1]], begin + 4 * S)]


def kept(path: Path, spans: Iterable[SpanRecord]) -> str:
    """A DuckDB file of them."""
    database = Database(path)
    ingest, columns = Ingest(database), Columns()
    for one in spans:
        add(one, columns)
    ingest.add(columns)
    ingest.commit({})
    database.close()
    return str(path)


@pytest.fixture
def page() -> Iterator[Callable[[Source], str]]:
    """``page(source)``: the address of its page, which closes it at the end."""
    open_: list[tuple[Server, Source]] = []

    def serve(source: Source) -> str:
        server = served(source)
        open_.append((server, source))
        return server.address

    yield serve
    for server, source in open_:
        server.close()
        source.close()


def tailed(capsys: pytest.CaptureFixture[str], source: str, *arguments: str) -> list[dict[str, Any]]:
    """What it wrote of the source, to which nothing comes any more."""
    main(["tail", source, "--json", "--from-beginning", "--quiet-seconds", "0.3", "--timeout", "4", *arguments])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for trace in found:
        for one in (*trace["spans"], *trace["linked_spans"]):
            # A page says milliseconds, and an attribute of a batch's link keeps its own type there.
            one["duration_ms"] = round(one["duration_ms"], 6)
    return sorted(found, key=lambda trace: trace["start_time"])


@pytest.mark.timeout(120)
def test_every_source_gives_the_same_traces(
    span_topic: MakeTopic, tmp_path: Path, page: Callable[[Source], str], capsys: pytest.CaptureFixture[str]
) -> None:
    spans = orders()
    expected = tailed(capsys, span_topic(payload(spans[:5]), payload(spans[5:])), "--limit", "4")
    assert [trace["spans"][0]["name"] for trace in expected] == [
        "POST /orders/1", "POST /orders/2", "POST /orders/3", "process orders",
    ]  # fmt: skip
    assert [len(trace["linked_spans"]) for trace in expected] == [1, 0, 1, 0]
    database = kept(tmp_path / "spans.duckdb", spans)
    for source in (
        write_lines(tmp_path / "spans.jsonl", spans),
        write_framed(tmp_path / "spans.pb", [payload(spans)]),
        database,
        page(DatabaseSource(Path(kept(tmp_path / "asked.duckdb", spans)))),
    ):
        assert tailed(capsys, source, "--limit", "4") == expected, source


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--errors"], [2]),
        (["--service", "front", "--destination", "ord*"], [1, 2, 3]),
        (["--service", "nobody"], []),
        (["--slower-than", "60000"], []),
    ],
)
def test_filters_hold_of_a_source_that_is_asked(
    filters: list[str], found: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = tailed(capsys, kept(tmp_path / "spans.duckdb", orders()), *filters)
    assert [trace["spans"][0]["name"] for trace in traces] == [f"POST /orders/{number}" for number in found]


def test_a_file_that_nobody_fills_is_drawn_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert main(["tail", kept(tmp_path / "spans.duckdb", orders()), "--quiet-seconds", "60"]) == 0
    assert time.monotonic() - began < 30
    assert capsys.readouterr().out.count("2 services") == 3
    assert main(["tail", str(tmp_path / "spans.duckdb"), "--limit", "9", "--json"]) == 1


def appended(path: Path, spans: Iterable[SpanRecord], *, framed: bool) -> None:
    body = payload(spans) if framed else json_line(spans)
    with path.open("ab") as file:
        file.write(len(body).to_bytes(4, "big") + body if framed else body)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("framed", [False, True])
def test_of_a_file_only_what_comes_is_drawn(
    framed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spans"
    path.touch()
    appended(path, orders(), framed=framed)
    appended(path, orders(), framed=framed)
    new = order(77, time.time_ns())
    timer = threading.Timer(0.8, appended, (path, new), {"framed": framed})
    timer.start()
    assert main(["tail", f"file://{path}", "--json", "--settle", "0.3", "--limit", "1", "--timeout", "20"]) == 0
    timer.join()
    (trace,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (trace["spans"][0]["name"], len(trace["spans"]), trace["late"]) == ("POST /orders/77", 3, False)


@pytest.mark.timeout(120)
def test_of_a_page_only_what_comes_is_drawn_and_again_where_more_came(
    tmp_path: Path, page: Callable[[Source], str], capsys: pytest.CaptureFixture[str]
) -> None:
    from mqtrace.flow.readers.file import FileReader

    path = tmp_path / "spans.jsonl"
    path.touch()
    appended(path, orders(), framed=False)
    source = FilledSource(FileReader(path), window_s=3600.0)
    source.fill()
    source.follow()
    address = page(source)
    root, sent, taken = order(77, time.time_ns())
    steps = [(1.0, [root, sent]), (5.5, [taken])]
    timers = [threading.Timer(after, appended, (path, spans), {"framed": False}) for after, spans in steps]
    for timer in timers:
        timer.start()
    assert main(["tail", address, "--json", "--quiet-seconds", "0.5", "--limit", "2", "--timeout", "30"]) == 0
    for timer in timers:
        timer.join()
    first, again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (first["trace_id"], len(first["spans"]), first["late"]) == (root.trace_id, 2, False)
    assert (again["trace_id"], len(again["spans"]), again["late"]) == (root.trace_id, 3, True)


@pytest.mark.timeout(120)
def test_a_page_that_is_gone_for_a_moment_is_said_once_and_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = DatabaseSource(Path(kept(tmp_path / "spans.duckdb", orders())))
    server = served(source)
    threading.Timer(0.7, server.close).start()
    assert main(["tail", server.address, "--json", "--quiet-seconds", "0.5", "--timeout", "4"]) == 0
    err = capsys.readouterr().err
    assert err.count("no page answers at") == 1
    assert "it is asked again" in err
    source.close()
