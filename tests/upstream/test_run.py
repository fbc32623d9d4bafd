"""``make upstream`` runs the clients' own suites; this holds what runs them, with a suite of four tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

SUITE = """
import tempfile
from pathlib import Path

import kombu

def test_it_says_nothing():
    with kombu.Connection("memory://") as connection:
        queue = kombu.Queue("orders")(connection.default_channel)
        kombu.Producer(connection).publish("x", routing_key="orders", declare=[queue])
        assert queue.get(no_ack=True).headers == {}

def test_it_is_what_it_is():
    with kombu.Connection("memory://") as connection:
        assert isinstance(connection.Producer(), kombu.Producer)

def test_it_fails():
    assert False

def test_it_leaves_something():
    (Path(tempfile.gettempdir()) / "orders").touch(exist_ok=False)
"""

RUN = """
import sys
from pathlib import Path
from tests.upstream.__main__ import run
from tests.upstream.suites import Suite
suite = Suite("kombu", None, ("test_orders.py",))
for wrapped in (False, True):
    outcomes = run(suite, Path(sys.argv[1]), (), wrapped=wrapped)
    print([outcomes[test] for test in sorted(outcomes)])
"""


def test_a_suite_is_run_bare_and_wrapped(tmp_path: Path) -> None:
    (tmp_path / "test_orders.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    # it fails; it is what it is; it leaves something, which the other run does not find; it says nothing
    bare, wrapped = ["failed", "passed", "passed", "passed"], ["failed", "passed", "passed", "failed"]
    assert done.stdout.splitlines() == [str(bare), str(wrapped)]


def test_a_suite_that_is_not_there_says_what_to_set() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PIKA_SOURCE"}
    for name, said in (("pika", "set PIKA_SOURCE to a checkout"), ("nats", "There is no suite nats")):
        command = [sys.executable, "-m", "tests.upstream", name]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert said in done.stderr
