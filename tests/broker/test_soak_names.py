"""The soak's messages with a header's name that is not UTF-8, as its handler meets them: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent

PROGRAM = """
import sys, time
import mqtrace
from bench.soak.headers import HOSTILE_NAMES
from bench.soak.load import Shop

mqtrace.configure("load", sampler=1.0, exporter="memory:")
shop = Shop(sys.argv[1], sys.argv[2])
until = time.monotonic() + 60
while shop.hostile_names < 2 * len(HOSTILE_NAMES) and time.monotonic() < until:
    time.sleep(0.05)
shop.close()
mqtrace.flush(5)
stats = mqtrace.stats()
assert shop.unreadable == shop.handled == shop.hostile_names >= 2 * len(HOSTILE_NAMES), vars(shop)
assert stats["spans_exported"] == stats["contexts_malformed"] == shop.unreadable, stats
print("alive")
"""


def test_every_name_arrives_and_the_handler_meets_the_clients_own_error(kafka_bootstrap: str, make_topic: Any) -> None:
    topic = make_topic(kafka_bootstrap)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kafka_bootstrap, topic],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "alive\n", f"status {done.returncode}: {done.stderr[-3000:]}"
