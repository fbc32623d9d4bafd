"""confluent-kafka clients that ddtrace has patched too are traced once. In a process of its own, since it patches."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ddtrace") is None, reason="ddtrace is not installed")

PROGRAM = """
from ddtrace import patch
from ddtrace.trace import TraceFilter, tracer

theirs = []

class Kept(TraceFilter):
    def process_trace(self, trace):
        theirs.extend(span.name for span in trace)

tracer.configure(trace_processors=[Kept()])
patch(kafka=True)

import confluent_kafka, mqtrace
from mqtrace.testing import record

def run(how):
    with record() as spans:
        producer = how(confluent_kafka.Producer, {"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
        broker = next(iter(producer.list_topics(timeout=5).brokers.values()))
        producer.produce("orders", b"1")
        producer.flush(5)
        address = f"{broker.host}:{broker.port}"
        settings = {"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
        consumer = how(confluent_kafka.Consumer, settings)
        consumer.subscribe(["orders"])
        with mqtrace.process(consumer.poll(15)):
            pass
        consumer.close()
    return [span.name for span in spans], theirs

HOW
"""


@pytest.mark.parametrize(
    "how",
    ["lambda kind, settings: mqtrace.wrap(kind(settings))", "lambda kind, settings: mqtrace.wrap(kind)(settings)"],
    ids=["object", "class"],
)
def test_a_client_that_ddtrace_has_patched_is_traced_once(how: str) -> None:
    quiet = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).replace("HOW", f"print(run({how}))")],
        env={**os.environ, **quiet, "DD_TRACE_AGENT_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "(['send orders', 'process orders'], [])", done.stderr
    assert "DD_PATCH_MODULES=kafka:false" in done.stderr
