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
from typing import Final

from . import table
from .brokers import ROOT, address
from .parts import FAMILIES, PARTS, VARIANTS, Part
from .progress import Progress
from .steady import FASTEST, probe

#: Rounds at most. All of them, with every message, take three quarters of an hour on two cores.
ROUNDS: Final = 5
#: Of the messages, without --full: what most of a machine's noise is still less than.
PART_OF_THEM: Final = 0.3


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the table of the documentation: three quarters of an hour")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="rounds are begun while there is time for them (10)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each variant runs at most ({ROUNDS})")
    parser.add_argument(
        "--scale", type=float, help=f"1 is 20,000 Kafka messages a figure, 5,000 others; {PART_OF_THEM} without --full"
    )
    parser.add_argument("--quick", action="store_true", help="one small round: does it run?")
    parser.add_argument("--only", action="append", choices=FAMILIES, help="these clients; may be given again")
    parser.add_argument("--json", action="store_true", help="the figures of every round")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md and README.md")
    options = parser.parse_args(arguments)
    if options.write and (options.only or not options.full):
        parser.error("--write puts the whole table there: leave out --only, and say --full")
    if options.quick:
        rounds, scale = 1, 0.02
    else:
        rounds, scale = options.rounds, options.scale or (1.0 if options.full else PART_OF_THEM)
    parts = [part for part in PARTS if not options.only or part.family in options.only]
    progress = Progress(rounds, len(VARIANTS) * len(parts), None if options.full else options.minutes * 60)
    if not (options.quick or options.full):
        print(f"{options.minutes:g} minutes, or one round; --full takes three quarters of an hour", file=sys.stderr)
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    missing: set[str] = set()
    # nobody reads the figures of a small round, so none has to be taken again
    fastest = math.inf if options.quick else min(probe() for _ in range(400))
    turn = 0
    while progress.another_round():
        turn += 1
        for variant in VARIANTS:
            for part in parts:
                if part.broker in missing:
                    continue
                with address(part.broker) as where:
                    if where is None:
                        missing.add(part.broker)
                        progress.left_out(len(VARIANTS) * sum(other.broker == part.broker for other in parts))
                        continue
                    if not options.quick:
                        fastest = min(fastest, *(probe() for _ in range(20)))
                    print(progress.begin(f"{variant}, {part.module}, {part.broker}"), file=sys.stderr)
                    for figure, value in measure(part, variant, where, scale, fastest).items():
                        figures[variant][figure].append(value)
        if not progress.any_runs:
            break
    said = table.facts(turn, sorted(missing))
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
