"""``mqtrace ui``: the page on a source that goes on coming, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra flow is not installed")
pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("uvicorn", reason="the extra ui is not installed")

from mqtrace.cli import main
from mqtrace.flow import Scope
from mqtrace.flow.remote import RemoteSource


def line(number: int) -> str:
    """A TracesData with one span."""
    now = time.time_ns()
    span: dict[str, Any] = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "send orders",
        "kind": 4,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1000),
        "attributes": [{"key": "messaging.destination.name", "value": {"stringValue": "orders"}}],
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n"


def test_it_prints_its_address_follows_a_growing_file_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    file, kept = tmp_path / "spans.jsonl", tmp_path / "spans.duckdb"
    file.write_text(line(1))
    command = [sys.executable, "-m", "mqtrace.cli", "ui", f"file://{file}", "--db", str(kept), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout is not None
            address = page.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            source = RemoteSource(address)
            wait_for(source, 1)
            with file.open("a") as more:
                more.write(line(2) + line(3))
            wait_for(source, 3)
            assert source.state()["behind"] == 0
            (arrow,) = source.map(Scope())["sent"]
            assert arrow["messages"] == 3
            assert main(["flow", str(kept)]) == 2, "the file is open in the page's process"
        finally:
            page.send_signal(signal.SIGINT)
            _, err = page.communicate(timeout=30)
        assert page.returncode == 0, err
    assert main(["flow", str(kept), "--json"]) == 0


def wait_for(source: RemoteSource, spans: int) -> None:
    ends = time.monotonic() + 30
    while source.state()["spans"] < spans:
        assert time.monotonic() < ends, source.state()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:1", "--db", "x.duckdb"], "--db is for a topic or a file"),
        (["nothing.duckdb", "--max-size", "1GB"], "--max-size is for a topic or a file"),
        (["nothing.duckdb"], "there is no file 'nothing.duckdb'"),
        (["file:///no/such.jsonl"], "cannot be read"),
    ],
)
def test_what_it_cannot_show_is_one_sentence_and_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ui", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_file_that_was_filled_from_another_source_is_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from mqtrace.flow.readers.file import FileReader
    from mqtrace.flow.store.filled import FilledSource

    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(line(1))
    FilledSource(FileReader(tmp_path / "a.jsonl"), tmp_path / "s.duckdb").close()
    assert main(["ui", f"file://{tmp_path}/b.jsonl", "--db", str(tmp_path / "s.duckdb"), "--port", "0"]) == 2
    assert "was filled from file" in capsys.readouterr().err


def test_a_file_that_was_filled_from_a_file_is_not_filled_from_a_topic(
    span_topic: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from mqtrace.flow.readers.file import FileReader
    from mqtrace.flow.store.filled import FilledSource

    (tmp_path / "a.jsonl").write_text(line(1))
    FilledSource(FileReader(tmp_path / "a.jsonl"), tmp_path / "s.duckdb").close()
    filled = FilledSource(FileReader(tmp_path / "a.jsonl"), tmp_path / "s.duckdb")
    filled.fill()
    filled.close()
    assert main(["ui", span_topic(), "--db", str(tmp_path / "s.duckdb"), "--port", "0"]) == 2
    assert "was filled from file" in capsys.readouterr().err
