"""Spans on a topic, read back as the OpenTelemetry Collector would: a message is one TracesData."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__
from opentelemetry.proto.trace.v1 import trace_pb2

import mqtrace
from mqtrace.api import Tracer


def _read(bootstrap: str, topic: str, spans: int, decode: Callable[[bytes], int], seconds: float = 30.0) -> list[Any]:
    """The messages of the topic, until they hold so many spans."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"group-{uuid.uuid4().hex[:12]}",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    messages: list[Any] = []
    deadline = time.monotonic() + seconds
    try:
        while sum(decode(message.value()) for message in messages) < spans:
            assert time.monotonic() < deadline, f"{len(messages)} messages came"
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                messages.append(message)
    finally:
        consumer.close()
    return messages


def _count(payload: bytes) -> int:
    data = trace_pb2.TracesData.FromString(payload)
    return sum(len(scope.spans) for resource in data.resource_spans for scope in resource.scope_spans)


def _end(tracer: Tracer, count: int, **attributes: object) -> None:
    for number in range(count):
        tracer.start_span(f"work {number}", parent=None, attributes=attributes).end()


def test_every_span_arrives(kafka: str, topic: str) -> None:
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{topic}")
    _end(tracer, 250)
    assert tracer.shutdown(20)
    messages = _read(kafka, topic, 250, _count)
    assert sum(_count(message.value()) for message in messages) == 250
    assert {message.key() for message in messages} == {None}
    stats = tracer.stats()
    assert stats["spans_exported"] == 250
    assert stats["bytes_exported"] == sum(len(message.value()) for message in messages)


@pytest.mark.parametrize("encoding", ["otlp_json", "zipkin_json"])
def test_in_json_too(kafka: str, topic: str, encoding: str) -> None:
    def count(payload: bytes) -> int:
        data = json.loads(payload)
        if isinstance(data, list):
            return len(data)
        return sum(len(scope["spans"]) for resource in data["resourceSpans"] for scope in resource["scopeSpans"])

    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{topic}?encoding={encoding}")
    _end(tracer, 20)
    assert tracer.shutdown(20)
    assert sum(count(message.value()) for message in _read(kafka, topic, 20, count)) == 20


def test_by_trace_the_spans_of_a_trace_share_key_and_partition(kafka: str, make_topic: Callable[..., str]) -> None:
    topic = make_topic(kafka, 4)
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{topic}?partition_by_trace=true")
    for _ in range(2):
        for number in range(10):
            context = mqtrace.Context(f"00-{number + 1:032x}-{1:016x}-01".encode())
            tracer.start_span("work", parent=context).end()
        assert tracer.flush(20)
    assert tracer.shutdown(20)
    messages = _read(kafka, topic, 20, _count)
    places: dict[bytes, set[int]] = {}
    for message in messages:
        places.setdefault(message.key(), set()).add(message.partition())
    assert set(places) == {b"%032x" % (number + 1) for number in range(10)}
    assert all(len(partitions) == 1 for partitions in places.values())


@pytest.mark.real_only("the embedded broker has no limit of a topic")
def test_a_topic_that_takes_less_gets_smaller_messages(kafka: str) -> None:
    """What is in one request counts together, compressed: here a few hundred spans, and one that is too large."""
    topic = f"topic-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "4000"})])[topic].result(timeout=20)
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{topic}?linger.ms=200")
    for number in range(300):
        tracer.start_span("work", parent=None, attributes={"noise": os.urandom(16)}).end()
        if number == 150:
            tracer.start_span("large", parent=None, attributes={"noise": os.urandom(5000)}).end()
    assert not tracer.flush(20)
    stats = tracer.stats()
    assert (stats["spans_exported"], stats["spans_dropped"]["too_large"]) == (300, 1)
    assert sum(_count(message.value()) for message in _read(kafka, topic, 300, _count)) == 300
    assert tracer.shutdown(20)


def test_a_topic_that_is_not_there_is_made_by_the_broker(kafka: str) -> None:
    topic = f"topic-{uuid.uuid4().hex[:12]}"
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/{topic}")
    _end(tracer, 5)
    assert tracer.shutdown(30)
    assert sum(_count(message.value()) for message in _read(kafka, topic, 5, _count)) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("way", ["fork", "multiprocessing"])
def test_parent_and_forked_child_each_send_their_own(kafka: str, topic: str, way: str) -> None:
    """FAULTS 15, through librdkafka: the child ends by itself, with the parent's producer in its memory."""
    program = """
    import multiprocessing, os, sys, mqtrace
    tracer = mqtrace.Tracer("shop", 1.0, exporter=sys.argv[1])
    def end(name, count):
        for _ in range(count):
            tracer.start_span(name, parent=None).end()
    end("parent", 120)
    assert tracer.flush(20)
    end("parent", 30)
    if sys.argv[2] == "fork":
        if os.fork() == 0:
            end("child", 40)
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.wait()[1])
    else:
        child = multiprocessing.get_context("fork").Process(target=end, args=("child", 40))
        child.start()
        child.join()
        status = child.exitcode
    end("parent", 10)
    sys.exit(status)
    """
    url = f"kafka://{kafka}/{topic}"
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), url, way], check=True, timeout=60)
    names: dict[str, int] = {}
    for message in _read(kafka, topic, 200, _count):
        for resource in trace_pb2.TracesData.FromString(message.value()).resource_spans:
            for span in resource.scope_spans[0].spans:
                names[span.name] = names.get(span.name, 0) + 1
    assert names == {"parent": 160, "child": 40}
