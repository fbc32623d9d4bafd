"""A pytest plugin for a client's own suite: the client wrapped, and the outcome of every test in a file.

It runs in the suite's process, from the suite's folder, and is named on its command line. So it is imported before the
suite's own conftest.py, and what that imports from the client is the wrapped class already. Our own package is imported
only where something is to be wrapped.

MQTRACE_UPSTREAM_WRAP: the client, or nothing. MQTRACE_UPSTREAM_REPORT: the file, a JSON object a line.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPORT = Path(os.environ["MQTRACE_UPSTREAM_REPORT"])


def _rebind(module: str, names: list[str], but: tuple[str, ...] = ()) -> None:
    """Wrap classes of a module, in every module of the client that has imported them, ``but`` in these."""
    import mqtrace

    home = importlib.import_module(module)
    package = module.partition(".")[0]
    for name in names:
        bare = getattr(home, name)
        wrapped = mqtrace.wrap(bare)
        for loaded, found in list(sys.modules.items()):
            if loaded.partition(".")[0] == package and loaded not in but:
                for attribute, value in list(vars(found).items()):
                    if value is bare:
                        setattr(found, attribute, wrapped)


def _celery() -> None:
    import mqtrace

    mqtrace.instrument_celery()


def _kombu() -> None:
    importlib.import_module("kombu.simple")
    importlib.import_module("kombu.compat")
    _rebind("kombu.messaging", ["Producer", "Consumer"])
    _rebind("kombu.simple", ["SimpleQueue", "SimpleBuffer"])


def _pika() -> None:
    importlib.import_module("pika.adapters.blocking_connection")
    _rebind("pika.channel", ["Channel"])
    _rebind("pika.adapters.blocking_connection", ["BlockingChannel"])


def _confluent() -> None:
    # their own methods say super(SerializingProducer, self): a subclass of that name would call itself for ever
    homes = ("confluent_kafka.serializing_producer", "confluent_kafka.deserializing_consumer")
    _rebind("confluent_kafka", ["Producer", "Consumer", "SerializingProducer", "DeserializingConsumer"], but=homes)


_WRAP: dict[str, Callable[[], None]] = {"celery": _celery, "kombu": _kombu, "pika": _pika, "confluent": _confluent}

if os.environ.get("MQTRACE_UPSTREAM_WRAP"):
    import mqtrace

    mqtrace.configure("upstream", exporter="none:")
    _WRAP[os.environ["MQTRACE_UPSTREAM_WRAP"]]()


def _say(what: str, outcome: str) -> None:
    with REPORT.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"test": what, "outcome": outcome}) + "\n")


def pytest_runtest_logreport(report: Any) -> None:
    """A phase of a test: its setup, the test, its teardown."""
    if report.failed or report.when == "call" or (report.when == "setup" and report.skipped):
        _say(report.nodeid, report.outcome)


def pytest_collectreport(report: Any) -> None:
    """A file whose tests cannot be collected."""
    if report.failed:
        _say(report.nodeid, "failed")
