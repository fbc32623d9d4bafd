"""``opentelemetry-instrument``: queues are mqtrace's, spans leave through the application's provider."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import sampling as theirs

from mqtrace import sampling

pytest.importorskip("opentelemetry.instrumentation")
from mqtrace.otel.instrumentor import AskedSampler, sampler_of  # needs what is looked for above

PROGRAM = """
import confluent_kafka
from opentelemetry import trace

producer = confluent_kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
with trace.get_tracer("shop").start_as_current_span("checkout"):
    producer.produce("orders", b"1")
    producer.flush(5)
"""
TASKS = """
import celery
from celery.contrib.testing import tasks, worker
from opentelemetry import trace

app = celery.Celery("shop", broker="memory://", backend="cache+memory://")

@app.task(name="charge")
def charge():
    with trace.get_tracer("shop").start_as_current_span("bank"):
        pass

with worker.start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
    with trace.get_tracer("shop").start_as_current_span("checkout"):
        charge.delay().get(timeout=10)
"""


def instrument(program: str, folder: Path, **environ: str) -> list[dict[str, Any]]:
    """What OpenTelemetry's console exporter printed when it ran a program."""
    command = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("opentelemetry-instrument is not installed")
    path = folder / "program.py"
    path.write_text(program)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MQTRACE_"))}
    done = subprocess.run(
        [command, sys.executable, str(path)],
        env={
            **known,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(one) for one in re.findall(r"^\{.*?^\}", done.stdout, re.MULTILINE | re.DOTALL)]


def tree(spans: list[dict[str, Any]]) -> dict[str, str | None]:
    """The name of each span's parent, by its name."""
    names = {span["context"]["span_id"]: span["name"] for span in spans}
    return {span["name"]: names.get(span["parent_id"] or "") for span in spans}


def test_a_producer_is_ours_and_leaves_through_their_exporter(tmp_path: Path) -> None:
    spans = instrument(PROGRAM, tmp_path)
    assert tree(spans) == {"checkout": None, "send orders": "checkout"}
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    for span in spans:
        assert span["resource"]["attributes"]["service.name"] == "shop"
        assert span["resource"]["attributes"]["deployment.environment.name"] == "test"


def test_tasks_are_ours_once_although_theirs_is_installed(tmp_path: Path) -> None:
    spans = instrument(TASKS, tmp_path)
    expected = {"checkout": None, "send charge": "checkout", "process charge": "send charge", "bank": "process charge"}
    assert tree(spans) == expected
    assert len(spans) == len(expected)


@pytest.mark.parametrize(
    ("sampler", "argument", "count"), [("always_off", "", 0), ("parentbased_traceidratio", "1", 2)]
)
def test_the_sampler_is_the_providers(tmp_path: Path, sampler: str, argument: str, count: int) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, **({"OTEL_TRACES_SAMPLER_ARG": argument} if argument else {})}
    assert len(instrument(PROGRAM, tmp_path, **environ)) == count


def test_it_is_disabled_as_any_instrumentation_is(tmp_path: Path) -> None:
    spans = instrument(PROGRAM, tmp_path, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="mqtrace,confluent_kafka")
    assert tree(spans) == {"checkout": None}


# ---------------------------------------------------------------------- samplers


def test_a_share_and_all_and_none_are_translated() -> None:
    assert sampler_of(None) is None
    assert repr(sampler_of(theirs.ParentBasedTraceIdRatio(0.25))) == repr(sampling.ParentBased(0.25))
    assert repr(sampler_of(theirs.DEFAULT_ON)) == repr(sampling.ParentBased(1.0))
    assert repr(sampler_of(theirs.DEFAULT_OFF)) == repr(sampling.ParentBased(0.0))


def test_what_asks_no_parent_is_asked_for_remote_parents_too() -> None:
    made = sampler_of(theirs.ALWAYS_OFF)
    assert repr(made) == repr(sampling.ParentBased(0.0, remote_sampled=0.0, remote_not_sampled=0.0))


def test_another_sampler_is_asked_as_for_a_root() -> None:
    asked: list[Any] = []

    class Own(theirs.Sampler):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, *rest: Any, **_: Any) -> Any:
            asked.append((trace_id, name, *rest[:2]))
            wanted = name == "send orders"
            return theirs.SamplingResult(theirs.Decision.RECORD_AND_SAMPLE if wanted else theirs.Decision.DROP)

        def get_description(self) -> str:
            return "own"

    made = sampler_of(theirs.ParentBased(Own())).root
    assert isinstance(made, AskedSampler)
    assert made.sample("0" * 31 + "a", "send orders", "producer", "orders", {"a": 1}) is True
    assert made.sample("0" * 31 + "a", "send others", "producer", "others", {}) is False
    assert [one[:2] for one in asked] == [(10, "send orders"), (10, "send others")]
    assert asked[0][2].name == "PRODUCER"
