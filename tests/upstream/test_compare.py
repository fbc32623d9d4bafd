"""What counts as a difference between a suite's two runs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mqtrace_upstream_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compare = _load("compare")


def test_a_test_differs_that_fails_wrapped_only_or_is_not_run_any_more() -> None:
    bare = {"a": "passed", "b": "failed", "c": "skipped", "d": "passed", "e": "passed", "g": "failed"}
    wrapped = {"a": "passed", "b": "failed", "c": "skipped", "d": "failed", "f": "failed"}
    assert compare.differing(bare, wrapped) == ["d", "f", "e"]


def test_of_the_phases_of_a_test_the_worst_counts(tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert compare.outcomes(report) == {}
    said = [("a", "passed"), ("a", "failed"), ("b", "skipped"), ("c", "failed"), ("c", "passed")]
    report.write_text("".join(json.dumps({"test": test, "outcome": outcome}) + "\n" for test, outcome in said))
    assert compare.outcomes(report) == {"a": "failed", "b": "skipped", "c": "failed"}


def test_a_file_that_cannot_be_collected_is_told_from_a_test_that_fails() -> None:
    assert compare.uncollected({"a.py::test": "failed", "b.py": "failed", "c.py::test": "passed"}) == ["b.py"]


def test_what_may_differ_has_a_reason() -> None:
    expected = compare.expected_of("# why\n\npika | x.py::A::* | a reason | with a bar\nkombu | y.py::b[* | another\n")
    explained, others = compare.split("pika", ["x.py::A::one", "y.py::b[1]"], expected)
    assert {test: one.reason for test, one in explained.items()} == {"x.py::A::one": "a reason | with a bar"}
    assert others == ["y.py::b[1]"]
    assert compare.split("kombu", ["y.py::b[1]"], expected)[1] == []
    with pytest.raises(ValueError, match="line 1 is not"):
        compare.expected_of("pika | x.py")


def test_the_list_can_be_read() -> None:
    assert compare.expected_of((HERE / "may_differ.txt").read_text(encoding="utf-8"))
