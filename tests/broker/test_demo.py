"""``mqtrace demo --bootstrap`` on a real broker: the same as on the embedded one, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest
from confluent_kafka.admin import AdminClient

ROOT = Path(__file__).resolve().parents[2]


def demo(*arguments: str) -> list[dict[str, Any]]:
    """The lines of a run that went well: a trace each, and the summary."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "MQTRACE_"))}
    command = [sys.executable, "-m", "mqtrace.cli", "demo", "--orders", "20", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=ROOT, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_demo_runs_on_a_real_broker_and_cleans_up(kafka_bootstrap: str) -> None:
    summary = demo("--bootstrap", kafka_bootstrap)[-1]["summary"]
    assert summary["traces"] == summary["traces_whole"] > 20
    assert summary["messages_sent"] == summary["messages_processed"] == 20 + 3 * 15  # one is passed over
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    assert not [name for name in admin.list_topics(timeout=10).topics if name.startswith("demo-")]
    groups = admin.list_consumer_groups(request_timeout=10).result().valid
    assert not [group.group_id for group in groups if group.group_id.startswith("demo-")]


def test_a_trace_goes_on_through_rabbitmq_and_comes_back_as_a_dead_letter(rabbitmq_url: str) -> None:
    *traces, last = demo("--amqp", rabbitmq_url)
    summary = last["summary"]
    assert summary["messages_sent"] == summary["messages_processed"] == 20 + 4 * 15  # one is passed over
    mailed = [trace for trace in traces if "mail" in trace["services"]]
    assert len(mailed) == 15
    dead = [
        trace for trace in mailed if any("mqtrace.dead_letter.count" in one["attributes"] for one in trace["spans"])
    ]
    assert len(dead) == 1
    for trace in dead:
        # in the order of their first spans; the notice and the receipt are sent at once, and either may be first
        assert [name for name in trace["services"] if name != "notices"] == ["front", "payments", "receipts", "mail"]
        assert "notices" in trace["services"]
        first, second = (one for one in trace["spans"] if one["service"] == "mail")
        assert first["parent_id"] == second["parent_id"]
        assert first["attributes"]["mqtrace.outcome"] == "reject"
        assert second["attributes"]["mqtrace.dead_letter.reason"] == "rejected"
        assert second["attributes"]["mqtrace.dead_letter.queue"] == first["destination"]
    channel = pika.BlockingConnection(pika.URLParameters(rabbitmq_url)).channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):  # its queues are gone
        channel.queue_declare(dead[0]["spans"][-1]["destination"], passive=True)
