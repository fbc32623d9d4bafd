"""The clients' own suites, with the client bare and wrapped: ``make upstream ARGS="celery kombu"``.

Without names, every suite that is there. Celery's and kombu's come from their source distributions; PIKA_SOURCE and
CONFLUENT_SOURCE name checkouts. Where a RabbitMQ listens on 127.0.0.1:5672, pika's tests on a broker run too; where
BROKERS names a Kafka, confluent-kafka's. What fails wrapped and not bare has to be in may_differ.txt, with a reason;
the files of the rest are run once more, both ways, because some tests fail now and then. It takes minutes, and is for
people: no CI run does it.

A file whose tests cannot be collected has to be in that list too.

Exit status 1 where a test fails because of us or a file could not be run, 2 where a suite was named that cannot be run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .compare import differing, expected_of, outcomes, split, uncollected
from .suites import SUITES, NotThere, Suite

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 1800


def run(suite: Suite, folder: Path, tests: tuple[str, ...], *, wrapped: bool) -> dict[str, str]:
    """Run these tests of a suite (none: all of it). Returns their outcomes."""
    with tempfile.TemporaryDirectory() as kept:
        report = Path(kept) / "report.jsonl"
        environment = {
            **os.environ,
            "PYTHONPATH": str(HERE / "plugin"),
            "MQTRACE_UPSTREAM_WRAP": suite.name if wrapped else "",
            "MQTRACE_UPSTREAM_REPORT": str(report),
            "TMPDIR": kept,  # where a test leaves something, the next run does not find it
        }
        options = [part for part in suite.arguments if not tests or not part.startswith(("t/", "tests/"))]
        command = [sys.executable, "-m", "pytest", *options, *tests, "-p", "mqtrace_upstream", "-p", "no:mqtrace"]
        command += ["-p", "no:cacheprovider", "-q", "--no-header", "--continue-on-collection-errors"]
        log = Path(kept) / "log"
        with log.open("w") as output:
            try:
                subprocess.run(
                    command, cwd=folder, env=environment, stdout=output, stderr=output, timeout=TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                print(f"{suite.name}: no end within {TIMEOUT_S} s; what has not run counts as failed", file=sys.stderr)
        found = outcomes(report)
        if not found or (tests and wrapped):
            print(log.read_text(errors="replace")[-20000:])
        return found


def main(names: list[str]) -> int:
    """Run the suites of these names."""
    expected = expected_of((HERE / "may_differ.txt").read_text(encoding="utf-8"))
    status = 0
    for name in names or list(SUITES):
        if name not in SUITES:
            print(f"There is no suite {name}: {', '.join(SUITES)}.", file=sys.stderr)
            return 2
        suite = SUITES[name]
        try:
            folder = suite.folder()
        except NotThere as error:
            print(f"{name}: not run; {error}.", file=sys.stderr)
            status = max(status, 2 if names else 0)
            continue
        bare = run(suite, folder, (), wrapped=False)
        wrapped = run(suite, folder, (), wrapped=True)
        tests = differing(bare, wrapped)
        explained, others = split(name, tests, expected)
        if others:  # those that fail now and then, wrapped or not
            files = tuple(dict.fromkeys(test.partition("::")[0] for test in others))
            again = differing(run(suite, folder, files, wrapped=False), run(suite, folder, files, wrapped=True))
            others = [test for test in others if test in again]
        failed = sum(outcome == "failed" for outcome in bare.values())
        print(f"{name}: {len(bare)} tests, {failed} fail bare too, {len(explained)} may differ, {len(others)} must not")
        for test, reason in explained.items():
            print(f"  may differ  {test}: {reason.reason}")
        for test in others:
            print(f"  MUST NOT    {test}")
        explained, unread = split(name, uncollected(bare), expected)
        for file, reason in explained.items():
            print(f"  not run     {file}: {reason.reason}")
        for file in unread:
            print(f"  NOT RUN     {file}: its tests cannot be collected, bare; what it imports is missing")
        status = max(status, int(bool(others or unread) or not bare))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
