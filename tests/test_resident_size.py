"""What a dead broker costs: a process grows by MQTRACE_MAX_QUEUE_BYTES and a half at most, with librdkafka's part.

The weights of what a span keeps are held elsewhere (test_weights.py, export/test_batch.py); these look at the process,
since a weight that is wrong adds up all the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BOUND_MB = 16
#: What is no span's: the heap's gaps, and what librdkafka and the exporter's thread take once.
SLACK_MB = 8

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")

PROGRAM = """
import os, sys, time
import confluent_kafka, mqtrace

class Stuck:
    def export(self, spans): time.sleep(1e6)
    def shutdown(self, timeout): pass

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def received(number, **headers):
    context = f"00-{number + 1:032x}-{number + 1:016x}-01"
    pairs = [(name, value.encode()) for name, value in {"traceparent": context, **headers}.items()]
    return confluent_kafka.Message(topic="orders", partition=0, offset=0, value=b"v", headers=pairs)

tracer = mqtrace.configure("shop", exporter=Stuck() if sys.argv[2] == "stuck" else "kafka://127.0.0.1:1/spans")
act, count = KINDS[sys.argv[1]]
act(0)
time.sleep(0.3)
before = most = resident()
for number in range(1, count):
    act(number)
    if number % (count // 50) == 0:
        time.sleep(0.02)  # for the worker to hand some to the client
        most = max(most, resident())
print((most - before) / 2**20, tracer.stats()["spans_dropped"]["queue_full"], flush=True)
os._exit(0)
"""

# Each would take some 100 MB: what an act does, and how often.
KINDS = """
def texts(number):
    span = tracer.start_span(f"{number}" + "n" * 500_000)
    span.set_status("error", f"{number}" + "x" * 500_000)
    span.end()

def attributes(number):
    tracer.start_span("work", attributes={"body": f"{number}" + "x" * 3000}).end()

def links(number):
    with tracer.batch([received(number * 1000 + one) for one in range(1000)]):
        pass

def tracestate(number):
    state = ",".join(f"key{number}-{one}=" + "v" * 200 for one in range(32))
    with tracer.process(received(number, tracestate=state)):
        pass

def baggage(number):
    members = ",".join(f"key{number}-{one}=" + "v" * 100 for one in range(60))
    with tracer.process(received(number, baggage=members)):
        pass

KINDS = {
    "texts": (texts, 100), "attributes": (attributes, 32_000), "links": (links, 400),
    "tracestate": (tracestate, 14_000), "baggage": (baggage, 14_000),
}
"""


@pytest.mark.parametrize(
    ("kind", "exporter"),
    [
        ("texts", "stuck"),
        ("links", "stuck"),
        ("tracestate", "stuck"),
        ("attributes", "dead broker"),
        ("links", "dead broker"),
        ("tracestate", "dead broker"),
        ("baggage", "dead broker"),
    ],
)
def test_it_grows_by_the_bound_and_a_half(kind: str, exporter: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KINDS + PROGRAM), kind, exporter],
        env={**os.environ, "MQTRACE_MAX_QUEUE_BYTES": str(BOUND_MB << 20), "OTEL_BSP_MAX_QUEUE_SIZE": "1000000"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    grown, dropped = done.stdout.split()
    assert float(grown) < BOUND_MB * 3 / 2 + SLACK_MB
    assert int(dropped) > 0 or kind == "baggage"  # whose spans weigh nothing once they have ended
