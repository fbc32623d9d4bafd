"""docs/faults.md promises; every promise is held by a test that names its number."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_every_number_on_the_page_is_held_by_a_test() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    promised = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.M)}
    held = {
        int(number)
        for path in (ROOT / "tests").rglob("test_*.py")
        for numbers in re.findall(r'"""FAULTS ([\d, and]+)', path.read_text())
        for number in re.findall(r"\d+", numbers)
    }
    assert promised == set(range(1, 21))
    assert promised - held == set()


def test_every_fault_of_our_own_is_held_by_the_test_that_its_row_names() -> None:
    page = (ROOT / "docs" / "faults.md").read_text().partition("## Found in mqtrace itself")[2]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what happened")]
    held = re.findall(r" \| `(tests/[\w/]+\.py)::(test_\w+)` \|$", page, re.M)
    assert len(held) == len(rows) > 10
    for path, name in held:
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(), re.M), f"{path}::{name}"
