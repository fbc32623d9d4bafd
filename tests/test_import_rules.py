"""The rules of who may import what, and of private members, fail where one of them is broken."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAZY = "\n\ndef later() -> None:\n    import {}\n"

TYPES = "\n\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import {}\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "mqtrace", copy / "mqtrace", ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / ".importlinter", copy)
    return copy


def lint(tree: Path) -> tuple[int, str]:
    """The exit status of import-linter on this tree, and what it says."""
    linter = Path(sys.executable).with_name("lint-imports")
    command = [str(linter), "--no-logo", "--no-cache"]
    # the tree that is linted is the one in the working directory, which an installed mqtrace must not hide
    done = subprocess.run(
        command, cwd=tree, env={"PYTHONPATH": str(tree), "PATH": ""}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("file", "source", "rule"),
    [
        pytest.param(
            "propagation/b3.py", "\nfrom mqtrace.core.context import Context\n", "below it", id="an import below core"
        ),
        pytest.param("tracer.py", LAZY.format("mqtrace.core.identity"), "below it", id="one within a function"),
        pytest.param("core/template.py", TYPES.format("mqtrace.core.span"), "No circles", id="a circle of types"),
        pytest.param("core/pipeline.py", LAZY.format("mqtrace.core.encode"), "No circles", id="a circle in a function"),
        pytest.param("export/queue.py", LAZY.format("mqtrace.export.worker"), "No circles", id="a circle in a room"),
        pytest.param("core/clock.py", "\nimport mqtrace.config\n", "point down only", id="an arrow that points up"),
        pytest.param("api.py", "\nimport confluent_kafka\n", "room of its client", id="a library elsewhere"),
    ],
)
def test_a_broken_rule_is_seen(tree: Path, file: str, source: str, rule: str) -> None:
    path = tree / "mqtrace" / file
    whole = path.read_text()
    path.write_text(whole + source)
    try:
        status, said = lint(tree)
    finally:
        path.write_text(whole)
    assert status == 1
    assert [name for name in said.split("Broken contracts")[1:] if rule in name], said


def test_the_tree_as_it_is_breaks_none(tree: Path) -> None:
    status, said = lint(tree)
    assert status == 0, said


def test_a_private_member_of_another_module_is_seen() -> None:
    source = "from mqtrace import tracer\n\nprint(tracer.default()._names)\n"
    ruff = Path(sys.executable).with_name("ruff")
    command = [
        str(ruff),
        "check",
        "--no-cache",
        "--output-format",
        "concise",
        "--stdin-filename",
        "mqtrace/api.py",
        "-",
    ]
    done = subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "SLF001" in done.stdout


def private_imports(source: str) -> list[str]:
    """The private names that this source imports from modules of ours."""
    return [
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("mqtrace"))
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]


def test_no_module_imports_a_private_name_of_another() -> None:
    """Of a linter this is a rule in preview (PLC2701), which would bring other rules' previews with it."""
    assert private_imports("from mqtrace.tracer import _following, follow\nfrom ._ids import _pad") == [
        "_following",
        "_pad",
    ]
    for path in sorted((ROOT / "mqtrace").rglob("*.py")):
        names = private_imports(path.read_text())
        modules = [name for name in names if (path.parent / f"{name}.py").exists()]  # a module without a public name
        assert names == modules, path
