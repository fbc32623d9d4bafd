"""Programs that know nothing of mqtrace, and the spans that they leave in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ran = subprocess.CompletedProcess[str]


class Traced:
    """Runs programs under ``mqtrace run``; what they exported is read from one OTLP JSON file a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "spans.jsonl"

    def environment(self, **environ: str) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MQTRACE_"))}
        exporter = {"MQTRACE_EXPORTER": f"file://{self.file}", "OTEL_SERVICE_NAME": "auto"}
        return {**known, **exporter, "PYTHONUNBUFFERED": "1", **environ}

    def script(self, text: str, name: str = "program.py") -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mqtrace.cli", "run", *arguments]

    def run(self, *arguments: str, timeout: int = 60, **environ: str) -> Ran:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.folder,
            env=self.environment(**environ),
            check=False,
        )

    def program(self, text: str, **environ: str) -> str:
        """What a program prints; it has to end well."""
        done = self.run(str(self.script(text)), timeout=60, **environ)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def spans(self) -> list[dict[str, Any]]:
        """The exported spans, the earliest first."""
        found: list[dict[str, Any]] = []
        for line in self.file.read_text().splitlines() if self.file.exists() else ():
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    found += scope["spans"]
        return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))

    def names(self) -> list[str]:
        return [span["name"] for span in self.spans()]


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    return Traced(tmp_path)


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """``until(condition)``: what it returns once that is true, within 30 seconds."""
    import time

    def wait(condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + 30
        while not (found := condition()):
            assert time.monotonic() < end, "it did not happen within 30 s"
            time.sleep(0.05)
        return found

    return wait
