"""``make bench``: one table from one run.

Every variant runs in a process of its own, in turn, round after round, against an embedded broker (or KAFKA_BOOTSTRAP),
so that a machine whose speed drifts drifts for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import table, variants

ROOT = Path(__file__).parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant runs (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is 20,000 messages a figure")
    parser.add_argument("--quick", action="store_true", help="one small round: does it run?")
    parser.add_argument("--json", action="store_true", help="the figures of every round")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md and README.md")
    options = parser.parse_args(arguments)
    rounds, scale = (1, 0.02) if options.quick else (options.rounds, options.scale)
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(rounds):
        for name in variants.NAMES:
            for export in ("calls", "export"):
                # a fresh broker each time: one that has kept what the others wrote answers more slowly
                with broker() as bootstrap:
                    print(f"round {turn + 1} of {rounds}: {name}, {export}", file=sys.stderr)
                    for figure, value in measure(name, bootstrap, scale, export).items():
                        figures[name][figure].append(value)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print(table.as_markdown(figures))
        print()
        print(table.facts(rounds))
    if options.write:
        table.write(ROOT, figures, rounds)
    return 0


def measure(name: str, bootstrap: str, scale: float, export: str) -> dict[str, float]:
    """One variant's figures, in a process of its own."""
    command = [sys.executable, "-m", "bench.measure", name, bootstrap, str(scale), export]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def broker() -> Iterator[str]:
    """The bootstrap servers of KAFKA_BOOTSTRAP, or of an embedded broker in a process of its own."""
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        yield given
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.broker"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
