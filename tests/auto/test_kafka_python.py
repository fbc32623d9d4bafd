"""kafka-python under mqtrace.auto: the names that applications import are those of traced classes."""

from __future__ import annotations

import os
import subprocess
import sys


def test_its_names_are_traced_whether_they_are_imported_before_or_after() -> None:
    code = """
from kafka import KafkaProducer
import mqtrace.auto
from mqtrace.clients.proxy import is_traced
import kafka
from kafka import KafkaConsumer
assert all(map(is_traced, (KafkaProducer, KafkaConsumer, kafka.KafkaProducer)))
"""
    environment = os.environ | {"MQTRACE_CLIENTS": "kafka", "OTEL_TRACES_EXPORTER": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
