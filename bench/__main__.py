"""``make bench``: one table from one run.

Every variant runs in a process of its own, in turn, round after round, so that a machine whose speed drifts drifts for
all of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections import defaultdict

from . import table
from .brokers import ROOT, address
from .parts import FAMILIES, PARTS, VARIANTS, Part
from .steady import FASTEST, probe


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant runs (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is 20,000 Kafka messages a figure, 5,000 others")
    parser.add_argument("--quick", action="store_true", help="one small round: does it run?")
    parser.add_argument("--only", action="append", choices=FAMILIES, help="these clients; may be given again")
    parser.add_argument("--json", action="store_true", help="the figures of every round")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md and README.md")
    options = parser.parse_args(arguments)
    if options.write and options.only:
        parser.error("--write puts the whole table there: leave out --only")
    rounds, scale = (1, 0.02) if options.quick else (options.rounds, options.scale)
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    missing: set[str] = set()
    # nobody reads the figures of a small round, so none has to be taken again
    fastest = math.inf if options.quick else min(probe() for _ in range(400))
    for turn in range(rounds):
        for variant in VARIANTS:
            for part in PARTS:
                if part.broker in missing or (options.only and part.family not in options.only):
                    continue
                with address(part.broker) as where:
                    if where is None:
                        missing.add(part.broker)
                        continue
                    if not options.quick:
                        fastest = min(fastest, *(probe() for _ in range(20)))
                    print(f"round {turn + 1} of {rounds}: {variant}, {part.module}, {part.broker}", file=sys.stderr)
                    for figure, value in measure(part, variant, where, scale, fastest).items():
                        figures[variant][figure].append(value)
    said = table.facts(rounds, sorted(missing))
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print(f"{table.as_markdown(figures)}\n\n{said}")
    if options.write:
        table.write(ROOT, figures, said)
    return 0


def measure(part: Part, variant: str, where: str, scale: float, fastest: float) -> dict[str, float]:
    """One variant's figures of a part, in a process of its own. ``fastest``: see steady.py."""
    command = [sys.executable, "-m", "bench.measure", part.module, variant, where, str(scale)]
    environment = os.environ | {FASTEST: str(fastest)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"{variant} failed in {part.module} with {part.broker}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
