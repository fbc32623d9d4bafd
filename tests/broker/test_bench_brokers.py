"""The benchmark measures its rows that need RabbitMQ and Redis, on real ones."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent.parent

for client in ("confluent_kafka", "pika", "celery"):
    pytest.importorskip(f"opentelemetry.instrumentation.{client}", reason="needs mqtrace[bench]")

pytestmark = pytest.mark.slow

#: Spans a message: both sides make the same.
TWO_WHERE_SAMPLED = {
    "bare": [0],
    "mqtrace": [2],
    "mqtrace unsampled": [0],
    "mqtrace off": [0],
    "opentelemetry": [2],
}


def quick(family: str, **address: str) -> Any:
    """The figures of one small round."""
    command = [sys.executable, "-m", "bench", "--quick", "--json", "--only", family]
    environment = {**os.environ, **address}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def spans(figures: Any, figure: str) -> dict[str, list[float]]:
    """Of every variant."""
    return {variant: found[figure] for variant, found in figures.items()}


def test_every_figure_of_pika_is_measured(rabbitmq_url: str) -> None:
    figures = quick("pika", RABBITMQ_URL=rabbitmq_url)
    for found in figures.values():
        for figure in ("pika publish", "pika consume", "pika no socket publish", "pika no socket consume"):
            assert found[figure][0] > 0
            assert len(found[f"{figure} added"]) == 1
    assert spans(figures, "pika spans") == TWO_WHERE_SAMPLED
    assert spans(figures, "pika no socket spans") == TWO_WHERE_SAMPLED


@pytest.fixture(scope="module")
def celery(redis_url: str) -> tuple[Any, set[bytes]]:
    """Celery's figures, and the keys that were left in Redis, in a database that other tests' workers do not use."""
    redis: Any = importlib.import_module("redis")
    database = urlsplit(redis_url)._replace(path="/9").geturl()
    client = redis.Redis.from_url(database)
    before = set(client.keys("*"))
    figures = quick("celery", REDIS_URL=database)
    return figures, {key for key in set(client.keys("*")) - before if b"bench" in key or b"unacked" in key}


def test_every_figure_of_celery_on_redis_is_measured(celery: tuple[Any, set[bytes]]) -> None:
    figures, _ = celery
    for found in figures.values():
        for figure in ("publish", "run", "both"):
            assert found[f"celery redis {figure}"][0] > 0
            assert len(found[f"celery redis {figure} added"]) == 1
        assert found["celery worker"][0] > 0
    assert spans(figures, "celery redis spans") == TWO_WHERE_SAMPLED
    assert spans(figures, "celery worker spans") == TWO_WHERE_SAMPLED


def test_every_task_on_redis_was_acknowledged_and_nothing_is_left_there(celery: tuple[Any, set[bytes]]) -> None:
    _, left = celery
    assert left == set()
