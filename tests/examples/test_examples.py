"""Every example runs, ends by itself, and makes the spans that it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
TRACE = "0af7651916cd43dd8448eb211c80319c"
Run = Callable[[str], tuple[str, list[dict[str, Any]]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(example)``: what it printed, and its spans with their service."""

    def example(name: str) -> tuple[str, list[dict[str, Any]]]:
        path = tmp_path / "spans.jsonl"
        environment = {**os.environ, "MQTRACE_EXPORTER": path.as_uri()}
        environment.pop("KAFKA_BOOTSTRAP", None)
        done = subprocess.run(
            [sys.executable, "-m", f"examples.{name}"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        spans = []
        for line in path.read_text().splitlines():
            for group in json.loads(line)["resourceSpans"]:
                resource = {item["key"]: item["value"] for item in group["resource"]["attributes"]}
                for scope in group["scopeSpans"]:
                    spans += [{**span, "service": resource["service.name"]["stringValue"]} for span in scope["spans"]]
        return done.stdout, spans

    return example


def by_name(spans: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {span["name"].partition("-")[0]: span for span in spans}


def test_every_example_is_tested() -> None:
    named = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"__init__", "broker"}
    tested = {name.removeprefix("test_").removesuffix("_example") for name in globals() if name.endswith("_example")}
    assert named == tested


def test_http_order_service_example(run: Run) -> None:
    printed, spans = run("http_order_service")
    assert "accepted" in printed
    found = by_name(spans)
    assert {span["traceId"] for span in spans} == {TRACE}
    assert found["POST /order"]["parentSpanId"] == "b7ad6b7169203331"
    assert found["ask the stock"]["parentSpanId"] == found["POST /order"]["spanId"]
    assert found["GET /pizza"]["parentSpanId"] == found["ask the stock"]["spanId"]
    assert found["SELECT count"]["parentSpanId"] == found["GET /pizza"]["spanId"]
    assert (found["POST /order"]["service"], found["GET /pizza"]["service"]) == ("orders", "stock")


def test_kafka_order_example(run: Run) -> None:
    printed, spans = run("kafka_order")
    assert "one pizza" in printed
    found = by_name(spans)
    assert {span["traceId"] for span in spans} == {TRACE}
    assert found["send orders"]["parentSpanId"] == found["POST /order"]["spanId"]
    assert found["process orders"]["parentSpanId"] == found["send orders"]["spanId"]
    assert found["charge card"]["parentSpanId"] == found["process orders"]["spanId"]


def test_batch_consumer_example(run: Run) -> None:
    printed, spans = run("batch_consumer")
    assert "shipped 20 parcels" in printed
    sent = {span["spanId"] for span in spans if span["name"].startswith("send")}
    batches = [span for span in spans if span["name"].startswith("process")]
    assert {link["spanId"] for batch in batches for link in batch["links"]} == sent
    assert len(sent) == 20


def test_transaction_example(run: Run) -> None:
    printed, spans = run("transaction")
    assert "wrote 5 invoices" in printed
    orders = {span["spanId"] for span in spans if span["name"].startswith("process orders")}
    invoices = {span["parentSpanId"] for span in spans if span["name"].startswith("send invoices")}
    assert invoices == orders
    assert len(orders) == 5


def test_asyncio_app_example(run: Run) -> None:
    printed, spans = run("asyncio_app")
    assert "handled 10 messages in 10 spans" in printed
    assert len([span for span in spans if span["name"].startswith("process")]) == 10


def test_own_sampler_example(run: Run) -> None:
    printed, spans = run("own_sampler")
    assert "paid: 100 of 100" in printed
    assert 100 <= len(spans) < 150


def test_own_carrier_example(run: Run) -> None:
    printed, spans = run("own_carrier")
    assert printed.startswith("# traceparent: 00-")
    found = by_name(spans)
    assert found["run job"]["parentSpanId"] == found["write job"]["spanId"]
