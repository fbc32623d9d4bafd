"""``mqtrace demo --bootstrap`` on a real broker: the same as on the embedded one, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka.admin import AdminClient

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_runs_on_a_real_broker_and_cleans_up(kafka_bootstrap: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "MQTRACE_"))}
    command = [sys.executable, "-m", "mqtrace.cli", "demo", "--bootstrap", kafka_bootstrap, "--orders", "20", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=ROOT, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert summary["traces"] == summary["traces_whole"] > 20
    assert summary["messages_sent"] == summary["messages_processed"] == 20 + 16
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    assert not [name for name in admin.list_topics(timeout=10).topics if name.startswith("demo-")]
    groups = admin.list_consumer_groups(request_timeout=10).result().valid
    assert not [group.group_id for group in groups if group.group_id.startswith("demo-")]
