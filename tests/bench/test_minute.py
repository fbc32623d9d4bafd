"""The minute of 5,000 spans a second, in two seconds; and it fails where it should."""

from __future__ import annotations

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


def test_over_http_every_span_arrives() -> None:
    status, found = _minute("--seconds", "2", "--rate", "1000")
    assert status == 0
    assert found["spans_received"] == found["spans_exported"] == found["spans_ended"] > 1500
    assert found["spans_dropped"] == 0


def test_a_span_that_is_dropped_is_a_failure() -> None:
    status, found = _minute(
        "http://127.0.0.1:1", "--seconds", "0.5", "--rate", "1000", OTEL_EXPORTER_OTLP_TIMEOUT="100"
    )
    assert status == 1
    assert found["spans_dropped"] > 0
