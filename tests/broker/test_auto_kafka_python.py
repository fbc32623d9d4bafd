"""kafka-python under ``mqtrace run``, on a real Kafka: the bare loop of a program that knows nothing of us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = """
import os
from kafka import KafkaConsumer, KafkaProducer

servers, topic = os.environ["SERVERS"], os.environ["TOPIC"]
producer = KafkaProducer(bootstrap_servers=servers)
producer.send(topic, b"x").get(20)
producer.close()
consumer = KafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
for message in consumer:
    assert dict(message.headers)["traceparent"]
    with __import__("mqtrace").process(message):
        break
consumer.close()
"""


def test_a_program_has_its_two_spans(kafka_bootstrap: str, make_topic: Callable[..., str], tmp_path: Path) -> None:
    topic, file = make_topic(kafka_bootstrap), tmp_path / "spans.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "mqtrace.cli", "run", sys.executable, "-c", PROGRAM],
        env={**os.environ, "SERVERS": kafka_bootstrap, "TOPIC": topic, "MQTRACE_EXPORTER": f"file://{file}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spans: list[Any] = [
        span
        for line in file.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert sorted(span["name"] for span in spans) == [f"process {topic}", f"send {topic}"]
