"""The clients' suites: where each comes from, and how pytest is to run it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["SUITES", "NotThere", "Suite"]

#: Where what was downloaded is kept: within the environment, which `make clean` takes away.
KEPT: Final = Path(sys.prefix) / "upstream"


class NotThere(Exception):
    """A suite cannot be run here; the text says what to do."""


class Suite(NamedTuple):
    """One client's suite."""

    name: str
    #: Its folder; downloads it where that can be done. Raises NotThere.
    folder: Callable[[], Path]
    #: What pytest is told: the tests, and what its plugins want.
    arguments: tuple[str, ...]


def _sdist(package: str) -> Callable[[], Path]:
    """The source distribution of the version that is installed: its tests are those of the client that is run."""

    def folder() -> Path:
        name = f"{package}-{version(package)}"
        if not (KEPT / name).is_dir():
            KEPT.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            wanted = f"{package}=={version(package)}"
            if subprocess.run([*command, "--dest", str(KEPT), wanted], timeout=300, check=False).returncode:
                raise NotThere(f"pip cannot download the source distribution of {wanted}")
            with tarfile.open(KEPT / f"{name}.tar.gz") as archive:
                archive.extractall(KEPT, filter="data")
        return KEPT / name

    return folder


def _checkout(variable: str, source: str) -> Callable[[], Path]:
    def folder() -> Path:
        path = Path(os.environ.get(variable, ""))
        if not os.environ.get(variable) or not (path / "tests").is_dir():
            raise NotThere(f"set {variable} to a checkout of {source}")
        return path.resolve()

    return folder


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


#: pika's tests of its blocking adapter, which want a RabbitMQ on the port that they name.
_ON_A_BROKER: Final = (
    ("tests/acceptance/blocking_adapter_test.py", "tests/acceptance/enforce_one_basicget_test.py")
    if _listens(5672)
    else ()
)

#: confluent-kafka's tests on a broker, which they look for in BROKERS.
_ON_KAFKA: Final = (
    ("tests/integration/consumer", "tests/integration/producer/test_transactions.py")
    if os.environ.get("BROKERS")
    else ()
)

SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite("celery", _sdist("celery"), ("t/unit", "-p", "celery.contrib.pytest")),
        Suite("kombu", _sdist("kombu"), ("t/unit",)),
        Suite("pika", _checkout("PIKA_SOURCE", "https://github.com/pika/pika"), ("tests/unit", *_ON_A_BROKER)),
        Suite(
            "confluent",
            _checkout("CONFLUENT_SOURCE", "https://github.com/confluentinc/confluent-kafka-python"),
            tuple(
                f"tests/test_{name}.py"
                for name in ("Producer", "Consumer", "Messages", "message", "misc", "log", "threads", "partitioners")
            )
            + _ON_KAFKA,
        ),
    )
}
