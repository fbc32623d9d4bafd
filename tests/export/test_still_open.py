"""Spans that are open when the process ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

BEGINNING = """
import multiprocessing, os, sys, threading, time
import mqtrace
tracer = mqtrace.configure("shop", exporter="file://" + sys.argv[1])
"""


def run(tmp_path: Path, program: str) -> list[dict[str, Any]]:
    path = tmp_path / "spans.jsonl"
    command = [sys.executable, "-c", BEGINNING + textwrap.dedent(program), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    lines = path.read_text().splitlines() if path.exists() else []
    return [
        span
        for line in lines
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


OPEN = {
    "a generator": """
        def stream():
            with tracer.start_span("open"):
                yield 1
        kept = stream()
        next(kept)
    """,
    "a coroutine": """
        class Forever:
            def __await__(self):
                yield
        async def work():
            with tracer.start_span("open"):
                await Forever()
        kept = work()
        kept.send(None)
    """,
    "a thread": """
        begun = threading.Event()
        def work():
            with tracer.start_span("open"):
                begun.set()
                time.sleep(60)
        threading.Thread(target=work, daemon=True).start()
        begun.wait()
    """,
    "a variable": 'kept = tracer.start_span("open", attributes={"amount": 12})',
}


@pytest.mark.parametrize("where", OPEN)
def test_they_are_ended_with_a_status_that_says_so(tmp_path: Path, where: str) -> None:
    (span,) = run(tmp_path, OPEN[where])
    assert span["name"] == "open"
    assert span["status"] == {"message": "it was still open when the process ended", "code": 2}
    assert {"key": "error.type", "value": {"stringValue": "process_ended"}} in span["attributes"]


def test_a_span_that_has_ended_is_left_as_it_is(tmp_path: Path) -> None:
    (span,) = run(tmp_path, 'kept = tracer.start_span("done"); kept.end()')
    assert span.get("status", {}) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_ends_its_own_and_not_its_parents(tmp_path: Path) -> None:
    program = """
    kept = [tracer.start_span("parent")]
    def work():
        kept.append(tracer.start_span("child"))
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    """
    assert sorted(span["name"] for span in run(tmp_path, program)) == ["child", "parent"]


def test_objects_that_lie_about_their_class_are_not_asked(tmp_path: Path) -> None:
    program = """
    class Strange:
        @property
        def __class__(self):
            os._exit(9)
    kept = Strange()
    tracer.start_span("done").end()
    """
    assert [span["name"] for span in run(tmp_path, program)] == ["done"]
