"""The README's two programs, as they stand there: on the embedded Kafka and on a real one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=["embedded", "real"])
def fresh_kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """A broker that nobody else has: the programs have topics, and a group, of fixed names."""
    if request.param == "real":
        yield str(request.getfixturevalue("own_kafka").address)
        return
    holder = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    yield ",".join(f"{broker.host}:{broker.port}" for broker in holder.list_topics(timeout=10).brokers.values())
    del holder


def test_what_one_sends_the_other_handles_in_its_trace_and_tail_draws_it(fresh_kafka: str, tmp_path: Path) -> None:
    found = re.findall(r"```python\n(# (\w+\.py)\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    for text, name in found:
        (tmp_path / name).write_text(text)
    assert [name for _, name in found][:2] == ["send_orders.py", "cook_orders.py"]
    environment = {**os.environ, "KAFKA_BOOTSTRAP": fresh_kafka, "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
    common = {"cwd": tmp_path, "env": environment, "text": True}
    send = [sys.executable, "send_orders.py"]
    done = subprocess.run(send, capture_output=True, timeout=30, check=True, **common)  # type: ignore[call-overload]
    assert done.stdout.splitlines() == ["delivered to orders"] * 2
    with subprocess.Popen([sys.executable, "cook_orders.py"], stdout=subprocess.PIPE, **common) as cook:  # type: ignore[call-overload]
        assert cook.stdout is not None
        cooked = {cook.stdout.readline() for _ in range(2)}
        time.sleep(0.2)  # the last handler has printed, and not yet ended
        cook.send_signal(signal.SIGINT)
        assert cook.wait(20) == 0
    assert cooked == {"cooking one pizza\n", "cooking two soups\n"}
    tail = [sys.executable, "-m", "mqtrace.cli", "tail", f"kafka://{fresh_kafka}/otlp_spans", "--from-beginning"]
    drawn = subprocess.run(
        [*tail, "--quiet-seconds", "2", "--limit", "2", "--timeout", "30"],
        capture_output=True,
        timeout=60,
        check=True,
        **common,
    ).stdout  # type: ignore[call-overload]
    # Each trace is whole: the request, the message, its handler in the other service.
    assert len(re.findall(r"^POST /order +front .*3 spans  2 services$", drawn, re.M)) == 2
    assert len(re.findall(r"^└─ send orders +front .*\n +└─ process orders +kitchen ", drawn, re.M)) == 2
