"""What the Makefile installs, it talks about meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).parent.parent / ".ci" / "install.py"

pytestmark = pytest.mark.skipif(not INSTALL.exists(), reason="these tests stand beside a built mqtrace")

#: In pip's place: says what it was asked, as pip says it, and fails where it is told to.
PIP = """
import os, sys
print("Obtaining file:///checkout")
print("Collecting rich>=13.7 (from mqtrace[demo])")
print("  Using cached rich.whl (310 kB)")
print("Collecting wcwidth")
print("Installing collected packages: rich, wcwidth, mqtrace")
print(sys.argv[1:], os.environ["PYTHONWARNINGS"])
sys.exit(int(os.environ["STATUS"]))
"""


def install(folder: Path, status: int) -> subprocess.CompletedProcess[str]:
    (folder / "pip.py").write_text(PIP)
    return subprocess.run(
        [sys.executable, str(INSTALL), "demo"],
        env={**os.environ, "PYTHONPATH": str(folder), "STATUS": str(status)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_packages_at_hand_are_said_and_how_long_it_takes_before(tmp_path: Path) -> None:
    done = install(tmp_path, 0)
    first, *rest = done.stdout.splitlines()
    assert first.startswith("Installing what `make demo` needs into ")
    assert first.endswith("once: about a minute.")
    assert [line.partition(" s  ")[2] for line in rest] == ["rich", "wcwidth", "writing them to disk", "done"]
    assert (done.returncode, done.stderr) == (0, "")


def test_what_pip_said_is_shown_where_it_failed(tmp_path: Path) -> None:
    done = install(tmp_path, 7)
    assert done.returncode == 7
    assert "Using cached rich.whl" in done.stderr
    assert "'--editable', '.[demo]'" in done.stderr
    assert "ignore:Editable installation" in done.stderr
    assert "done" not in done.stdout
