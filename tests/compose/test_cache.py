"""What compose/up downloads or builds is kept where every checkout of a user finds it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_COMPOSE = Path(__file__).resolve().parents[2] / "compose"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Any:
    """brokers.place; compose/ is no part of what is installed."""
    monkeypatch.syspath_prepend(_COMPOSE)
    return importlib.import_module("brokers.place")


def test_it_is_the_users_cache_folder(place: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MQTRACE_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for wish in ("", "relative/path"):  # the XDG specification has it absolute, or ignored
        monkeypatch.setenv("XDG_CACHE_HOME", wish)
        assert place.cache_folder() == tmp_path / ".cache" / "mqtrace"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert place.cache_folder() == tmp_path / "mine" / "mqtrace"
    monkeypatch.setenv("MQTRACE_CACHE_DIR", str(tmp_path / "another"))
    assert place.cache_folder() == tmp_path / "another"


def test_a_user_without_one_has_it_in_the_checkout(place: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MQTRACE_CACHE_DIR", raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert place.cache_folder() == _COMPOSE.parent / ".brokers" / "cache"


def test_it_is_filled_once_and_never_half(place: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MQTRACE_CACHE_DIR", str(tmp_path))

    def fail(empty: Path) -> None:
        (empty / "program").write_text("half")
        raise OSError("the line broke")

    with pytest.raises(OSError, match="the line broke"):
        place.cached("thing-1", fail)
    assert not [entry for entry in tmp_path.iterdir() if entry.is_dir()]
    filled: list[Path] = []

    def fill(empty: Path) -> None:
        filled.append(empty)
        (empty / "program").write_text("whole")

    for _ in range(2):
        assert (place.cached("thing-1", fill) / "program").read_text() == "whole"
    assert len(filled) == 1


def test_another_recipe_is_another_thing(place: Any, tmp_path: Path) -> None:
    recipe = tmp_path / "builder.yaml"
    found = []
    for text in ("exporters: [file]", "exporters: [file, debug]", "exporters: [file]"):
        recipe.write_text(text)
        found.append(place.fingerprint(recipe))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("prepare", [[], ["--prepare"]])
@pytest.mark.parametrize("reader", ["otelcol", "jaeger"])
def test_what_takes_minutes_to_build_is_not_built_where_that_is_not_wanted(
    reader: str, prepare: list[str], tmp_path: Path
) -> None:
    places = {"MQTRACE_BROKERS_DIR": str(tmp_path / "run"), "MQTRACE_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(_COMPOSE / "up"), "--no-build", *prepare, reader],
        env={**os.environ, **places},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{reader} is not built yet: `compose/up {reader}` does it once" in done.stderr
    shutil.rmtree(tmp_path / "cache")
