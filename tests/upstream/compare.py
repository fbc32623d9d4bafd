"""What differs between a suite's two runs, the client bare and wrapped, and which of it is expected."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Expected", "differing", "expected_of", "outcomes", "split", "uncollected"]

# Of several phases of a test the worst counts.
_RANK = ("passed", "skipped", "failed")


class Expected(NamedTuple):
    """Tests that may end otherwise with the client wrapped, and why."""

    suite: str
    #: Of their pytest node ids, as in a shell.
    pattern: str
    reason: str

    def concerns(self, suite: str, test: str) -> bool:
        """Whether it is about this test of this suite."""
        # a parametrized test has brackets, which a shell's pattern would take for a set
        return suite == self.suite and fnmatch.fnmatchcase(test, self.pattern.replace("[", "[[]"))


def expected_of(text: str) -> list[Expected]:
    """``suite | pattern | reason``, a line each; empty ones and those with ``#`` say nothing. Else ValueError."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            suite, pattern, reason = (part.strip() for part in [*line.split("|", 2), "", ""][:3])
            if not suite or not pattern or not reason:
                raise ValueError(f"line {number} is not 'suite | pattern | reason': {line!r}")
            found.append(Expected(suite, pattern, reason))
    return found


def outcomes(report: Path) -> dict[str, str]:
    """Each test's outcome, from the file that the plugin wrote."""
    found: dict[str, str] = {}
    for line in report.read_text(encoding="utf-8").splitlines() if report.exists() else ():
        said = json.loads(line)
        before = found.get(said["test"], "passed")
        found[said["test"]] = max(before, said["outcome"], key=_RANK.index)
    return found


def differing(bare: Mapping[str, str], wrapped: Mapping[str, str]) -> list[str]:
    """Tests that fail wrapped and not bare, or were not run any more: the process ended before."""
    failed = [test for test, outcome in wrapped.items() if outcome == "failed" and bare.get(test) != "failed"]
    return failed + [test for test, outcome in bare.items() if outcome != "failed" and test not in wrapped]


def uncollected(found: Mapping[str, str]) -> list[str]:
    """Files whose tests cannot be collected, which is no difference: none of them was run, bare or wrapped."""
    return [test for test, outcome in found.items() if outcome == "failed" and "::" not in test]


def split(suite: str, tests: Iterable[str], expected: Iterable[Expected]) -> tuple[dict[str, Expected], list[str]]:
    """Those of the tests that may differ, with the reason, and those that may not."""
    explained: dict[str, Expected] = {}
    others = []
    for test in tests:
        reason = next((one for one in expected if one.concerns(suite, test)), None)
        if reason is None:
            others.append(test)
        else:
            explained[test] = reason
    return explained, others
