"""The benchmark runs without a server, and measures every row that needs none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
VARIANTS = ("bare", "mqtrace", "mqtrace unsampled", "mqtrace off", "opentelemetry")

for client in ("confluent_kafka", "pika", "celery"):
    pytest.importorskip(f"opentelemetry.instrumentation.{client}", reason="needs mqtrace[bench]")


def quick(family: str, tmp_path: Path) -> Any:
    """The figures of one small round, with no server anywhere."""
    command = [sys.executable, "-m", "bench", "--quick", "--json", "--only", family]
    environment = {key: value for key, value in os.environ.items() if key not in ("RABBITMQ_URL", "REDIS_URL")}
    environment["MQTRACE_BROKERS_DIR"] = str(tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_figure_of_kafka_is_measured(tmp_path: Path) -> None:
    figures = quick("kafka", tmp_path)
    for variant in VARIANTS:
        assert {"produce", "poll", "batch", "whole produce", "whole consume", "everything"} <= figures[variant].keys()
    assert {"encode", "bytes raw", "bytes sent", "span allocated", "span pooled"} <= figures["mqtrace"].keys()
    assert figures["mqtrace"]["lost"] == [0]
    # two spans a message, and those of the warm-up
    assert figures["mqtrace"]["spans"][0] >= 2 * 400


def test_every_figure_of_the_bridge_is_measured(tmp_path: Path) -> None:
    figures = quick("bridge", tmp_path)["mqtrace"]
    for figure in ("bridge produce", "bridge poll", "bridge produce inside", "bridge poll inside", "run start"):
        assert figures[figure][0] > 0
        assert len(figures[f"{figure} added"]) == 1


@pytest.mark.slow
def test_every_figure_of_celery_on_the_memory_broker_is_measured_and_both_sides_make_the_same_spans(
    tmp_path: Path,
) -> None:
    figures = quick("celery", tmp_path)
    for variant in VARIANTS:
        for figure in ("publish", "run", "both"):
            assert figures[variant][f"celery memory {figure}"][0] > 0
            assert len(figures[variant][f"celery memory {figure} added"]) == 1
    assert figures["mqtrace"]["celery memory floor"][0] > 0
    assert len(figures["mqtrace"]["celery memory floor added"]) == 1
    spans = {variant: figures[variant]["celery memory spans"] for variant in VARIANTS}
    assert spans == {
        "bare": [0],
        "mqtrace": [2],
        "mqtrace unsampled": [0],
        "mqtrace off": [0],
        "opentelemetry": [2],
    }


@pytest.mark.slow
def test_kombu_is_measured_where_opentelemetry_has_nothing_to_compare(tmp_path: Path) -> None:
    figures = quick("kombu", tmp_path)
    for variant in VARIANTS[:-1]:
        for figure in ("kombu publish", "kombu consume"):
            assert figures[variant][figure][0] > 0
            assert len(figures[variant][f"{figure} added"]) == 1
    assert figures["mqtrace"]["kombu spans"] == [2]
    assert figures["mqtrace unsampled"]["kombu spans"] == [0]
    assert "opentelemetry" not in figures


def test_export_over_http_is_measured_beside_opentelemetrys(tmp_path: Path) -> None:
    figures = quick("http", tmp_path)
    assert figures["mqtrace"]["http export"][0] > 0
    assert figures["mqtrace"]["readable span"][0] > 0
    assert figures["opentelemetry"]["http export"][0] > figures["mqtrace"]["http export"][0]


def test_without_rabbitmq_its_rows_are_left_out_and_a_line_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "pika"]
    environment = {key: value for key, value in os.environ.items() if key != "RABBITMQ_URL"}
    environment["MQTRACE_BROKERS_DIR"] = str(tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "No rabbitmq was running: its rows are left out." in done.stdout
    assert "publish" not in done.stdout


@pytest.mark.parametrize("asked", [["--full", "--only", "kombu"], []])
def test_a_part_of_the_table_is_not_written_over_the_whole(asked: list[str]) -> None:
    command = [sys.executable, "-m", "bench", "--write", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--write puts the whole table there: leave out --only, and say --full" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "expected", "others"),
    [
        ("confluent-aio", {"send", "send, all threads", "handle"}, VARIANTS[:-1]),
        ("aiokafka", {"send", "handle", "no socket send", "no socket header"}, VARIANTS),
    ],
)
def test_the_asynchronous_clients_of_kafka_are_measured(
    tmp_path: Path, family: str, expected: set[str], others: tuple[str, ...]
) -> None:
    if family == "aiokafka":
        pytest.importorskip("opentelemetry.instrumentation.aiokafka", reason="needs mqtrace[bench]")
    figures = quick(family, tmp_path)
    for variant in others:
        for figure in expected:
            assert figures[variant][f"{family} {figure}"][0] > 0
            assert len(figures[variant][f"{family} {figure} added"]) == 1
    assert {*figures} == {*others}
