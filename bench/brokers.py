"""Where the brokers are: in the environment, or those that compose/up started; for Kafka also an embedded one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["address"]

ROOT = Path(__file__).parent.parent
_SERVER = "Kafka server"
_VARIABLES = {"kafka": "KAFKA_BOOTSTRAP", _SERVER: "KAFKA_BOOTSTRAP", "rabbitmq": "RABBITMQ_URL", "redis": "REDIS_URL"}


@contextmanager
def address(broker: str) -> Iterator[str | None]:
    """Of "kafka", "Kafka server" (not the embedded one), "rabbitmq", "redis" or "memory"; None where there is none."""
    if broker == "memory":
        yield "memory://"
    elif given := os.environ.get(_VARIABLES[broker]):
        yield given
    elif broker == "kafka":
        # a fresh one each time: one that has kept what the others wrote answers more slowly
        with _embedded_kafka() as bootstrap:
            yield bootstrap
    else:
        yield _started("kafka" if broker == _SERVER else broker)


@contextmanager
def _embedded_kafka() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.kafka.mock_cluster"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=30)


def _started(broker: str) -> str | None:
    """What ``compose/up --running`` says of it."""
    command = [sys.executable, str(ROOT / "compose" / "up"), "--running", broker]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line.partition("=") for line in done.stdout.splitlines()]
    found = {name.removeprefix("export "): shlex.split(value)[0] for name, _, value in lines}
    return found.get(_VARIABLES[broker])
