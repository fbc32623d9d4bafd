"""The README's program beside OpenTelemetry, as it stands there; tests/broker/test_readme.py has the other two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def printed(text: str) -> Iterator[dict[str, Any]]:
    """The spans that OpenTelemetry's console exporter printed, by name."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        span, end = decoder.raw_decode(text)
        yield span
        text = text[end:]


def test_a_message_is_below_the_request_that_opentelemetry_traces(
    tmp_path: Path, programs: Callable[[Path], list[str]], bootstrap: str
) -> None:
    pytest.importorskip("flask")
    pytest.importorskip("opentelemetry.instrumentation.flask")
    assert programs(ROOT / "README.md") == ["send_orders.py", "cook_orders.py", "beside_opentelemetry.py"]
    done = subprocess.run(
        [sys.executable, "beside_opentelemetry.py"],
        cwd=tmp_path,
        env={**os.environ, "KAFKA_BOOTSTRAP": bootstrap},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    spans = {span["name"]: span for span in printed(done.stdout)}
    assert set(spans) == {"POST /order/<dish>", "send orders"}
    request, sent = spans["POST /order/<dish>"], spans["send orders"]
    assert sent["parent_id"] == request["context"]["span_id"]
    assert sent["context"]["trace_id"] == request["context"]["trace_id"]
    assert sent["resource"] == request["resource"]
