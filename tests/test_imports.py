"""Something happens when a module has been imported, and not before."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mqtrace import imports
from mqtrace.imports import when_imported


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that can be imported and has not been."""
    name = f"waited_for_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("ready = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_it_is_called_once_the_modules_code_has_run(module: str) -> None:
    seen: list[ModuleType] = []
    when_imported(module, seen.append)
    assert seen == []
    made = importlib.import_module(module)
    assert seen == [made]
    assert made.ready
    importlib.reload(made)
    assert seen == [made]


def test_a_module_that_is_there_is_taken_at_once(module: str) -> None:
    made = importlib.import_module(module)
    seen: list[ModuleType] = []
    when_imported(module, seen.append)
    assert seen == [made]


def test_nothing_is_left_behind_and_the_module_has_its_own_loader(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_waiting", {})  # others of this process wait for theirs
    monkeypatch.setattr(sys, "meta_path", [one for one in sys.meta_path if one is not imports._FINDER])
    when_imported(module, lambda made: None)
    made = importlib.import_module(module)
    assert imports._FINDER not in sys.meta_path
    assert type(made.__loader__).__module__ == "_frozen_importlib_external"
    assert made.__spec__ is not None
    assert made.__spec__.loader is made.__loader__


def test_what_the_callback_raises_does_not_reach_who_imports(module: str, caplog: pytest.LogCaptureFixture) -> None:
    def fails(made: ModuleType) -> None:
        raise ZeroDivisionError

    seen: list[ModuleType] = []
    when_imported(module, fails)
    when_imported(module, seen.append)
    with caplog.at_level(logging.WARNING):
        made = importlib.import_module(module)
    assert seen == [made]
    assert module in caplog.text


def test_a_module_that_is_missing_stays_missing() -> None:
    when_imported("mqtrace_is_not_this", lambda made: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("mqtrace_is_not_this")
    imports._waiting.clear()
    sys.meta_path.remove(imports._FINDER)


def test_a_module_whose_code_fails_is_waited_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fails_at_first.py").write_text("import os\nif 'FAIL' in os.environ: raise ImportError('not yet')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FAIL", "1")
    seen: list[ModuleType] = []
    when_imported("fails_at_first", seen.append)
    with pytest.raises(ImportError, match="not yet"):
        importlib.import_module("fails_at_first")
    monkeypatch.delenv("FAIL")
    assert seen == [importlib.import_module("fails_at_first")]


def test_a_module_that_asks_while_its_importer_is_being_imported_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "outer_module.py").write_text("import inner_module\nvalue = 1\n")
    (tmp_path / "inner_module.py").write_text(
        "from mqtrace.imports import when_imported\n"
        "heard = []\n"
        "when_imported('outer_module', lambda module: heard.append(module.value))\n"
    )
    outer = importlib.import_module("outer_module")
    assert importlib.import_module("inner_module").heard == [1]
    assert type(outer.__spec__) is importlib.machinery.ModuleSpec


def test_one_that_wants_the_package_whole_waits_for_what_imported_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "half_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("")
    (package / "outer.py").write_text("from . import inner\nvalue = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen: list[bool] = []
    when_imported(
        "half_package.inner", lambda _: seen.append(hasattr(sys.modules["half_package.outer"], "value")), whole=True
    )
    outer = importlib.import_module("half_package.outer")
    assert seen == [True]
    assert type(outer.__spec__) is importlib.machinery.ModuleSpec
    assert imports._ending == {}


def test_one_that_wants_the_package_whole_is_called_when_what_imported_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "failing_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("")
    (package / "outer.py").write_text("from . import inner\nraise ZeroDivisionError\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen: list[str] = []
    when_imported("failing_package.inner", lambda module: seen.append(module.__name__), whole=True)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("failing_package.outer")
    assert seen == ["failing_package.inner"]
