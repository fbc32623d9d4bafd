"""The minute of 5,000 spans a second, in two seconds; and it fails where it should."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil")


def _minute(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.minute", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("what", ["http", "kafka", "opentelemetry"])
def test_every_span_arrives(what: str) -> None:
    status, found = _minute("--only", what, "--json", "--seconds", "2", "--rate", "1000")
    assert status == 0
    assert found["what"] == what
    assert found["spans_ended"] > 1500
    assert found["rss_end"] > found["rss_growth"]
    if what != "opentelemetry":  # which counts none
        assert (found["spans_exported"], found["spans_dropped"]) == (found["spans_ended"], 0)
    if what != "kafka" or os.environ.get("KAFKA_BOOTSTRAP"):
        assert found["spans_received"] == found["spans_ended"]


def test_a_span_that_is_dropped_is_a_failure() -> None:
    status, found = _minute(
        "http://127.0.0.1:1", "--json", "--seconds", "0.5", "--rate", "1000", OTEL_EXPORTER_OTLP_TIMEOUT="100"
    )
    assert status == 1
    assert found["spans_dropped"] > 0


def test_a_table_of_something_else_is_not_written_over_the_minute() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.minute", "--write", "--seconds", "2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--write puts the whole table there" in done.stderr


def test_the_rows_say_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    table = importlib.import_module("bench.minute.__main__").as_markdown
    figures = {"spans_ended": 300_000, "cpu_us_a_span": 12.34, "rss_growth": 2_500_000}
    rows = table(
        {
            "http": {**figures, "spans_dropped": 0, "spans_received": 300_000},
            "opentelemetry": {**figures, "spans_received": 299_000},
        }
    ).splitlines()
    assert rows[2] == "| mqtrace, OTLP/HTTP | 300,000 | 300,000 | 0 | 12.3 | 2.5 MB |"
    assert rows[3].endswith("| 300,000 | 299,000 | 1,000 | 12.3 | 2.5 MB |")
