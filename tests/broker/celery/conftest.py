"""A shop on Celery for tests: an app in a file, workers and publishers in processes of their own, their spans in one.

Workers are stopped by their pids; each shop has a queue of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mqtrace

_APP = """
import os, signal, time
import mqtrace
from celery import Celery

mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
mqtrace.instrument_celery(flush_timeout=5.0)
app = Celery("shop", broker=os.environ["BROKER"], set_as_current=True)
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options=eval(os.environ.get("TRANSPORT_OPTIONS", "{}")),
    worker_prefetch_multiplier=4,
    worker_soft_shutdown_timeout=float(os.environ.get("SOFT_SHUTDOWN", "0")),
    beat_schedule={"tick": {"task": "shop.add", "schedule": 0.2, "args": (1, 2)}} if os.environ.get("BEAT") else {},
    beat_schedule_filename=os.environ.get("BEAT", "celerybeat-schedule"),
)

@app.task(name="shop.add")
def add(*numbers):
    return sum(numbers)

@app.task(name="shop.late", acks_late=True)
def late(number):
    time.sleep(0.002)

@app.task(name="shop.slow", time_limit=1)
def slow():
    with mqtrace.Tracer.start_span(TRACER, "inside"):
        pass
    time.sleep(60)

@app.task(name="shop.sleep")
def sleep(seconds):
    time.sleep(seconds)

@app.task(name="shop.sleep_late", acks_late=True)
def sleep_late(seconds):
    time.sleep(seconds)

@app.task(name="shop.die")
def die():
    add.delay(1)
    os.kill(os.getpid(), signal.SIGKILL)

@app.task(name="shop.die_once", acks_late=True, reject_on_worker_lost=True)
def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

@app.task(name="shop.leave")
def leave():
    raise SystemExit(3)

@app.task(name="shop.outer")
def outer():
    time.sleep(0.02)
    inner.delay(mqtrace.current_span().span_id)

@app.task(name="shop.inner")
def inner(caller):
    mqtrace.current_span().set_attribute("caller", caller)

from mqtrace.tracer import default
TRACER = default()
"""


class Shop:
    """One queue on one broker, its workers and publishers, and the spans of all of them."""

    def __init__(self, place: Path, broker: str, options: str = "{}", app: str = _APP) -> None:
        self.place = place
        (place / "shop.py").write_text(app, encoding="utf-8")
        self.file = place / "spans.jsonl"
        self.environment = {
            **os.environ,
            "BROKER": broker,
            "TRANSPORT_OPTIONS": options,
            "QUEUE": f"shop-{uuid.uuid4().hex[:8]}",
            "PLACE": str(place),
            "SPANS": str(self.file),
            "PYTHONPATH": os.pathsep.join(
                [str(place), str(Path(mqtrace.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def worker(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it takes tasks."""
        number = len(self.processes)
        process = self.celery(
            "worker", "--without-gossip", "--without-mingle", "--without-heartbeat", *arguments, **environment
        )
        self.until(lambda: " ready." in self.log(number), "the worker is ready")
        return process

    def celery(self, command: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command of Celery's that logs, in a process of its own; its log is the next one."""
        log = self.place / f"{len(self.processes)}.log"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "shop"),
                *(command, "-l", "INFO", f"--logfile={log}", *arguments),
            ],
            cwd=self.place,
            env={**self.environment, "SERVICE": command, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def log(self, number: int = 0) -> str:
        """What the process with this number has logged."""
        log = self.place / f"{number}.log"
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def succeeded(self, number: int = 0) -> int:
        """How many tasks the worker with this number has run to their end."""
        return self.log(number).count(" succeeded in ")

    def publish(self, code: str) -> str:
        """Run code that sends tasks, in a process of its own; what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", f"import shop\n{code}"],
            cwd=self.place,
            env={**self.environment, "SERVICE": "client"},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def spans(self) -> list[dict[str, Any]]:
        """Every span that has arrived, with its attributes as a dict, and the name of its service."""
        found = []
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        for line in lines:
            for resource in json.loads(line)["resourceSpans"]:
                said = {each["key"]: each["value"] for each in resource["resource"]["attributes"]}
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        span["service"] = said["service.name"]["stringValue"]
                        span["attributes"] = {
                            each["key"]: next(iter(each["value"].values())) for each in span.get("attributes", ())
                        }
                        found.append(span)
        return found

    def named(self, name: str) -> list[dict[str, Any]]:
        """The spans of this name, by their start."""
        return sorted(
            (span for span in self.spans() if span["name"] == name), key=lambda span: int(span["startTimeUnixNano"])
        )

    def until(self, condition: Callable[[], object], what: str, timeout: float = 60.0) -> None:
        """Wait for something, ``timeout`` seconds at most."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not in {timeout} s: {what}"
            time.sleep(0.05)

    def stop(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM, timeout: float = 60.0) -> int:
        """Signal a process and wait for its end: its exit code."""
        process.send_signal(how)
        return process.wait(timeout)

    def children(self, process: subprocess.Popen[bytes]) -> list[int]:
        import psutil  # type: ignore[import-untyped]  # it ships no types

        return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    with contextlib.ExitStack() as stack:

        def make(broker: str, *arguments: str, **named: str) -> Shop:
            shop = Shop(tmp_path, broker, *arguments, **named)
            stack.callback(shop.close)
            return shop

        yield make


@pytest.fixture
def shop(make_shop: Callable[..., Shop], redis_url: str) -> Shop:
    return make_shop(redis_url)
