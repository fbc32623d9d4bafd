"""Wrapped clients in several processes: separate programs, and the children of os.fork and multiprocessing."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


_SHOP = """
import sys, mqtrace
from confluent_kafka import Producer
kafka, spans, orders, count = sys.argv[1:]
tracer = mqtrace.configure("shop", exporter=f"kafka://{kafka}/{spans}")
producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka})
with tracer.start_span("checkout"):
    for number in range(int(count)):
        producer.produce(orders, str(number).encode())
assert producer.flush(20) == 0
"""

_KITCHEN = """
import sys, time, mqtrace
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
kafka, spans, orders, meals, count, service = sys.argv[1:]
mqtrace.configure(service, exporter=f"kafka://{kafka}/{spans}")
producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka})

@mqtrace.consumer
def cook(message):
    if meals:
        producer.produce(meals, message.value())

with mqtrace.wrap(Consumer)({"bootstrap.servers": kafka, "group.id": service}) as consumer:
    known = consumer.list_topics(orders, timeout=20).topics[orders].partitions
    consumer.assign([TopicPartition(orders, one, OFFSET_BEGINNING) for one in known])
    done, deadline = 0, time.monotonic() + 40
    while done < int(count) and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            cook(message)
            done += 1
assert producer.flush(20) == 0
"""


def test_what_travels_through_three_programs_is_one_trace(kafka: str, make_topic: Any, exported: Any) -> None:
    """They end without a word to mqtrace: what they had is on the topic."""
    spans, orders, meals = (make_topic(kafka) for _ in range(3))
    programs = [
        _start(_KITCHEN, kafka, spans, meals, "", "20", "waiter"),
        _start(_KITCHEN, kafka, spans, orders, meals, "20", "kitchen"),
        _start(_SHOP, kafka, spans, orders, "20"),
    ]
    for program in programs:
        program.communicate(timeout=60)
    assert [program.returncode for program in programs] == [0, 0, 0]
    found = exported(kafka, spans, 1 + 20 * 4)
    assert len({span.trace_id for _, span in found}) == 1
    by_id = {span.span_id: (service, span) for service, span in found}
    assert len(by_id) == len(found) == 81

    def way(span: Any) -> list[str]:
        service, span = by_id[span.span_id]
        above = way(by_id[span.parent_span_id][1]) if span.parent_span_id else []
        return [*above, f"{service}: {span.name.partition(' ')[0]}"]

    ends = [span for service, span in found if service == "waiter"]
    assert len(ends) == 20
    whole = ["shop: checkout", "shop: send", "kitchen: process", "kitchen: send", "waiter: process"]
    assert {tuple(way(span)) for span in ends} == {tuple(whole)}


_FAMILY = """
import json, multiprocessing, os, sys
import mqtrace
from confluent_kafka import Producer

kafka, spans, orders, way = sys.argv[1:]

def child(context):
    tracer = mqtrace.configure("child", exporter=f"kafka://{kafka}/{spans}")
    producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka})
    with mqtrace.use(mqtrace.Context(context)):
        for number in range(30):
            producer.produce(orders, b"child")
    assert producer.flush(20) == 0

def forked():
    # the configuration is the parent's; a librdkafka client cannot be
    producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka})
    for number in range(30):
        producer.produce(orders, b"child")
    assert producer.flush(20) == 0

if __name__ == "__main__":
    tracer = mqtrace.configure("parent", exporter=f"kafka://{kafka}/{spans}")
    producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka})
    with tracer.start_span("family") as family:
        for number in range(40):
            producer.produce(orders, b"parent")
        if way == "os.fork":
            pid = os.fork()
            if pid == 0:
                forked()
                mqtrace.shutdown(20)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            context = multiprocessing.get_context(way)
            target, arguments = (forked, ()) if way == "fork" else (child, (family.identity,))
            process = context.Process(target=target, args=arguments)
            process.start()
            process.join(40)
            status = process.exitcode
        for number in range(40):
            producer.produce(orders, b"parent")
    assert producer.flush(20) == 0
    stats = mqtrace.stats()
    assert mqtrace.shutdown(20)
    print(json.dumps({"status": status, "ended": mqtrace.stats()["spans_ended"]}))
"""


@pytest.mark.parametrize("way", ["os.fork", *multiprocessing.get_all_start_methods()])
def test_parent_and_child_each_have_their_producer_and_one_trace(
    kafka: str, make_topic: Any, exported: Any, tmp_path: Path, way: str
) -> None:
    """FAULTS 15. The parent's reports were still outstanding when the child began."""
    if way == "os.fork" and not hasattr(os, "fork"):
        pytest.skip("nothing forks here")
    spans, orders = make_topic(kafka), make_topic(kafka)
    file = tmp_path / "family.py"
    file.write_text(_FAMILY, encoding="utf-8")
    command = [sys.executable, str(file), kafka, spans, orders, way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == {"status": 0, "ended": 81}
    found = exported(kafka, spans, 81 + 30)
    family = next(span for _, span in found if span.name == "family")
    sent = [(service, span) for service, span in found if span.name != "family"]
    assert {span.trace_id for _, span in found} == {family.trace_id}
    assert {span.parent_span_id for _, span in sent} == {family.span_id}
    assert len({span.span_id for _, span in sent}) == len(sent) == 110
    services = [service for service, _ in sent]
    assert services.count("child") == (0 if "fork" in way and way != "forkserver" else 30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_that_drops_what_it_inherited_ends_as_it_would_without_tracing(kafka: str, make_topic: Any) -> None:
    """The inherited producer is the user's. Its spans are the parent's, and nothing of ours waits for it."""
    program = """
    import os, sys, mqtrace
    from confluent_kafka import Producer
    kafka, orders = sys.argv[1:]
    tracer = mqtrace.configure("parent", exporter="memory:")
    producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka, "linger.ms": 5000})
    for number in range(10):
        producer.produce(orders, b"v")
    pid = os.fork()
    if pid == 0:
        ended = tracer.stats()["spans_ended"]
        mqtrace.shutdown(5)
        os._exit(ended + tracer.stats()["spans_ended"])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert producer.flush(20) == 0
    mqtrace.shutdown(5)
    assert tracer.stats()["spans_ended"] == 10
    """
    with _start(program, kafka, make_topic(kafka)) as process:
        assert process.wait(60) == 0
