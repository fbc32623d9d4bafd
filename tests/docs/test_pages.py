"""The pages tell the truth: their code runs, their links lead somewhere, their variables exist."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mqtrace
from mqtrace.config import read
from mqtrace.core import Limits

ROOT = Path(__file__).parent.parent.parent
#: Run by tests of their own, which give them what stands for a server, or start their programs side by side.
TESTED_ELSEWHERE = {
    "README.md",
    "aio-pika.md",
    "celery.md",
    "kafka-python.md",
    "kombu.md",
    "own-client.md",
    "pika.md",
    "recipes.md",
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_CODE = [page for page in PAGES if page.name not in TESTED_ELSEWHERE and "```python" in page.read_text()]


#: What the programs of a page are about, and no extra brings.
NEEDS = {"from-ddtrace.md": "ddtrace"}
#: What ddtrace would send, and to whom.
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
}


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_code_of_a_page_runs_from_top_to_bottom(page: Path, bootstrap: str) -> None:
    needed = NEEDS.get(page.name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.S)).replace("localhost:9092", bootstrap)
    environment = {**os.environ, **QUIET}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_variable_is_documented_and_every_documented_one_exists() -> None:
    pattern = re.compile(r"\b(?:OTEL|MQTRACE)_[A-Z_]+[A-Z]\b")
    code = {
        name
        for path in (ROOT / "mqtrace").rglob("*.py")
        for name in re.findall(r"\"((?:OTEL|MQTRACE)_[A-Z_]+)\"", path.read_text())
    }
    pages = ("configuration.md", "exporters.md")
    said = {name for page in pages for name in pattern.findall((ROOT / "docs" / page).read_text())}
    prefixes = tuple(name for name in code if name.endswith("_"))
    assert code - set(prefixes) <= said
    assert {name for name in said - code if not name.startswith(prefixes)} == set()


def test_the_defaults_that_are_documented_are_those_that_hold() -> None:
    """Whoever writes a default of the page into the environment has what he had without it."""

    def numbers(environ: dict[str, str]) -> object:
        made = read("shop", environ=environ, exporter="none:")
        limits = [getattr(made.limits, name) for name in Limits.__slots__]
        return made.batch, limits, made.report_timeout

    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `((?:OTEL|MQTRACE)_[A-Z_]+)`[^|]*\| (\d+|on) \|", page, re.M)
    documented = dict(rows)
    assert documented["MQTRACE_EXIT_TIMEOUT"] == "2000"
    assert documented["MQTRACE_MAX_QUEUE_BYTES"] == str(64 << 20)
    without = numbers({})
    assert [name for name, value in rows if numbers({name: value}) != without] == []
    assert [name for name, value in rows if numbers({name: "7" if value.isdigit() else "off"}) == without] == []


def test_every_argument_and_every_count_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for name in inspect.signature(mqtrace.configure).parameters:
        assert f"`{name}`" in page, name
    counts = mqtrace.stats()
    for name in (*counts, *counts["spans_dropped"]):
        assert f"`{name}`" in page, name


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\$ make (\w+)", readme):
        assert re.search(rf"^{target}:", makefile, re.M), target
    shown = subprocess.run(
        [sys.executable, "-m", "mqtrace.cli", "--help"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    for command in re.findall(r"`mqtrace (\w+)", readme):
        assert command in shown, command
    assert os.access(ROOT / "compose" / "up", os.X_OK)
