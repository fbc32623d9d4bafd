"""The core can be replaced: MQTRACE_CORE names the module that the facade takes its names from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECOND = Path(__file__).parent / "second"
#: What is run on the second core in every run of the suite; `make core` runs all of it.
PARTS = (
    "tests/core/test_span.py",
    "tests/core/test_current.py",
    "tests/core/test_message_spans.py",
    "tests/test_api.py",
)


def environment(core: str, path: Path = SECOND) -> dict[str, str]:
    paths = [str(path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "MQTRACE_CORE": core, "PYTHONPATH": os.pathsep.join(paths)}


def run(core: str, program: str, path: Path = SECOND) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment(core, path), capture_output=True, text=True, timeout=60, cwd=path)


def test_the_classes_and_what_is_current_are_those_of_the_core_that_is_named() -> None:
    program = """
import mqtrace, mqtrace.core.python as python
from mqtrace import core
assert core.Span.__module__ == "second_core.span", core.Span
assert not [name for name in core.__all__ if isinstance(getattr(core, name), type)
            and getattr(core, name) is getattr(python, name) and getattr(core, name).__module__.startswith("mqtrace")]
with mqtrace.Tracer("shop", exporter="none:").start_span("work") as span:
    assert isinstance(span, core.Span) and not isinstance(span, python.Span)
    assert mqtrace.current_span() is span and python.current_frame() is None
"""
    done = run("second_core", program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("source", "reason"),
    [(None, "No module named"), ("raise OSError('built for another')", "built"), ("a = 1", "no att")],
)
def test_a_core_that_cannot_be_used_is_one_warning(source: str | None, reason: str, tmp_path: Path) -> None:
    if source is not None:
        (tmp_path / "broken_core.py").write_text(source)
    done = run("broken_core", "from mqtrace import core; print(core.Span.__module__)", tmp_path)
    assert done.stdout == "mqtrace.core.span\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("MQTRACE_CORE='broken_core' cannot be used, and the core in Python is: ")
    assert reason in line


@pytest.mark.skipif("MQTRACE_CORE" in os.environ, reason="a core is named already: all of this runs on it")
def test_nobody_looks_behind_the_facade() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *PARTS]
    done = subprocess.run(
        command, env=environment("second_core"), capture_output=True, text=True, timeout=110, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-3000:]
