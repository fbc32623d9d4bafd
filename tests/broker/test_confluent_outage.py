"""A broker that dies, one that comes back, and one that was never there: what the application and its spans meet."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import mqtrace
from mqtrace.api import Tracer
from mqtrace.export.batch import BatchSettings

#: Nobody listens there.
DEAD = "127.0.0.1:1"


def _balance(stats: dict[str, Any]) -> int:
    """0 where ended = exported + queued + in flight + dropped."""
    settled = stats["spans_exported"] + stats["spans_queued"] + stats["spans_in_flight"]
    return int(stats["spans_ended"] - settled - sum(stats["spans_dropped"].values()))


@contextlib.contextmanager
def _sampled(tracer: Tracer) -> Iterator[list[dict[str, Any]]]:
    """stats() every few milliseconds, from another thread."""
    seen: list[dict[str, Any]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.003):
            seen.append(tracer.stats())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
    seen.append(tracer.stats())


def test_a_broker_that_is_killed_and_comes_back_costs_neither_messages_nor_spans(own_kafka: Any, exported: Any) -> None:
    """Both producers, the user's and the exporter's, go on by themselves."""
    kafka = own_kafka.address
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/spans")
    errors: list[Any] = []
    slowest = 0.0
    sent = 0
    producer = tracer.wrap(Producer)(
        {"bootstrap.servers": kafka, "enable.idempotence": True, "linger.ms": 1, "log_level": 0},
    )

    def restart() -> None:
        time.sleep(1)
        own_kafka.start()

    back = threading.Thread(target=restart)
    with _sampled(tracer) as seen:
        began = time.monotonic()
        while time.monotonic() < began + 2 or back.is_alive():
            before = time.monotonic()
            producer.produce("orders", str(sent).encode(), on_delivery=lambda error, _: errors.append(error))
            slowest = max(slowest, time.monotonic() - before)
            sent += 1
            producer.poll(0)
            time.sleep(0.002)
            if sent == 300:
                own_kafka.kill()
                back.start()
        assert producer.flush(30) == 0
        assert tracer.flush(30)
    assert sent > 1000
    assert errors == [None] * sent
    assert {_balance(stats) for stats in seen} == {0}
    assert max(stats["spans_in_flight"] for stats in seen) > 100  # they waited for the broker
    stats = seen[-1]
    assert (stats["spans_exported"], sum(stats["spans_dropped"].values())) == (sent, 0)
    assert slowest < 0.5  # not the seconds of the outage
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "g", "log_level": 0})
    consumer.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    arrived: dict[bytes, bytes] = {}
    deadline = time.monotonic() + 30
    while len(arrived) < sent and time.monotonic() < deadline:
        message: Any
        for message in consumer.consume(500, 0.5):
            arrived[message.value()] = dict(message.headers())["traceparent"]
    consumer.close()
    assert len(arrived) == sent
    spans = {span.span_id for _, span in exported(kafka, "spans", sent)}
    assert spans == {bytes.fromhex(context.decode()[36:52]) for context in arrived.values()}
    assert tracer.shutdown(20)


def test_a_broker_that_stays_away_costs_spans_that_are_counted(own_kafka: Any) -> None:
    kafka = own_kafka.address
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{kafka}/spans?message.timeout.ms=2000")
    producer = tracer.wrap(Producer)({"bootstrap.servers": kafka, "message.timeout.ms": 1500, "log_level": 0})
    codes: list[Any] = []

    def send(count: int) -> None:
        for number in range(count):
            producer.produce(
                "orders", str(number).encode(), on_delivery=lambda error, _: codes.append(error and error.name())
            )
        assert producer.flush(20) == 0

    with _sampled(tracer) as seen:
        send(200)
        assert tracer.flush(20)
        own_kafka.kill()
        send(300)
        assert not tracer.flush(20)
    assert {_balance(stats) for stats in seen} == {0}
    stats = seen[-1]
    assert codes == [None] * 200 + ["_MSG_TIMED_OUT"] * 300
    assert (stats["spans_exported"], stats["spans_dropped"]["export_failed"]) == (200, 300)
    began = time.monotonic()
    tracer.start_span("last", parent=None).end()
    assert not tracer.shutdown(1.0)
    assert time.monotonic() - began < 2.0
    stats = tracer.stats()
    assert (stats["spans_dropped"]["shutdown"], stats["spans_queued"], stats["spans_in_flight"]) == (1, 0, 0)


def test_an_exporter_without_a_broker_does_not_slow_the_application(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2000")
    count = 20_000
    took: dict[str, float] = {}
    slowest = 0.0
    tracer = mqtrace.Tracer("shop", 1.0, exporter=f"kafka://{DEAD}/spans")
    settings = {"bootstrap.servers": kafka, "linger.ms": 5}
    for name, producer in (("bare", Producer(settings)), ("traced", tracer.wrap(Producer)(settings))):
        began = time.thread_time()
        for number in range(count):
            before = time.monotonic()
            producer.produce(topic, str(number).encode())
            slowest = max(slowest, time.monotonic() - before)
            producer.poll(0)
        took[name] = time.thread_time() - began
        assert producer.flush(30) == 0
    stats = tracer.stats()
    assert _balance(stats) == 0
    assert stats["spans_ended"] == count
    assert stats["spans_queued"] + stats["spans_in_flight"] <= 2000
    assert stats["spans_dropped"]["queue_full"] >= count - 2000 - stats["spans_dropped"]["export_failed"]
    assert slowest < 0.5
    assert took["traced"] < took["bare"] + count * 100e-6  # 100 us a message would be a fault, not a cost
    began = time.monotonic()
    assert not tracer.shutdown(1.0)
    assert time.monotonic() - began < 2.0
    stats = tracer.stats()
    assert (_balance(stats), stats["spans_queued"], stats["spans_in_flight"]) == (0, 0, 0)


# ---------------------------------------------------------------------- the end of a process, interrupts

_PROGRAM = """
import json, os, signal, sys, threading, time
import mqtrace
from confluent_kafka import Producer

kafka, exporter = sys.argv[1:3]
tracer = mqtrace.configure("shop", exporter=exporter)
producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka, "log_level": 0, "linger.ms": 1})

def interrupt_in(seconds):
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()

def say(**what):
    stats = mqtrace.stats()
    settled = stats["spans_exported"] + stats["spans_queued"] + stats["spans_in_flight"]
    balance = stats["spans_ended"] - settled - sum(stats["spans_dropped"].values())
    print(json.dumps({**what, "balance": balance, "stats": stats}), flush=True)

def produce(count):
    for number in range(count):
        try:
            producer.produce("orders", str(number).encode())
        except BufferError:
            producer.poll(0.1)
        producer.poll(0)
"""


@pytest.fixture
def run() -> Callable[..., tuple[list[dict[str, Any]], float]]:
    """``run(program, kafka, exporter)``: the lines of JSON that it printed, and the seconds that its end took."""

    def run(program: str, kafka: str, exporter: str, code: int = 0) -> tuple[list[dict[str, Any]], float]:
        command = [sys.executable, "-c", _PROGRAM + textwrap.dedent(program), kafka, exporter]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        ended = time.time()
        assert done.returncode == code, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines, ended - lines[-1].get("at", ended)

    return run


_ENDS = """
produce(500)
for number in range(500):
    tracer.start_span("work", parent=None).end()
say(at=time.time())
"""


def test_a_process_ends_in_time_though_the_exporters_broker_is_dead(kafka: str, run: Any) -> None:
    (said,), took = run(_ENDS, kafka, f"kafka://{DEAD}/spans")
    assert said["balance"] == 0
    assert said["stats"]["spans_ended"] >= 500
    assert took < BatchSettings.exit_timeout + 2.0


def test_a_process_ends_in_time_though_every_broker_is_dead(run: Any) -> None:
    (said,), took = run(_ENDS, DEAD, f"kafka://{DEAD}/spans")
    assert said["balance"] == 0
    assert said["stats"]["spans_ended"] >= 500
    assert took < BatchSettings.exit_timeout + 2.0


def test_an_interrupt_leaves_produce_flush_and_shutdown_and_the_counts_hold(kafka: str, run: Any) -> None:
    program = """
    def interrupted(name, call, *arguments):
        interrupt_in(0.5)
        began = time.monotonic()
        try:
            call(*arguments)
            time.sleep(20)
        except KeyboardInterrupt:
            say(what=name, took=time.monotonic() - began)

    interrupted("produce", produce, 10**9)
    producer.flush(20)
    produce(10)
    producer.flush(20)
    interrupted("flush", mqtrace.flush, 20)
    interrupted("shutdown", mqtrace.shutdown, 20)
    produce(10)
    producer.flush(20)
    say(what="after", took=0, at=time.time())
    """
    lines, took = run(program, kafka, f"kafka://{DEAD}/spans")
    assert [line["what"] for line in lines] == ["produce", "flush", "shutdown", "after"]
    assert [line["balance"] for line in lines] == [0] * 4
    assert all(line["took"] < 3.0 for line in lines)
    assert [lines[-1]["stats"][name] for name in ("spans_queued", "spans_in_flight")] == [0, 0]
    ended = [line["stats"]["spans_ended"] for line in lines]
    assert ended[0] <= ended[1] <= ended[2] == ended[3] - 10
    assert took < BatchSettings.exit_timeout + 2.0


def test_an_interrupt_of_the_users_flush_is_as_without_tracing(run: Any) -> None:
    """With nobody there to deliver to: librdkafka waits, and what it waits for is the same."""
    program = """
    raw = Producer({"bootstrap.servers": kafka, "log_level": 0})
    took = []
    for one in (raw, producer):
        one.produce("orders", b"v")
        interrupt_in(0.5)
        began = time.monotonic()
        try:
            one.flush(4)
            time.sleep(5)
        except KeyboardInterrupt:
            took.append(time.monotonic() - began)
    say(took=took, at=time.time())
    """
    (said,), _ = run(program, DEAD, "none:")
    bare, traced = said["took"]
    assert traced == pytest.approx(bare, abs=1.0)


def test_a_handler_of_sigterm_that_exits_loses_no_span(kafka: str, make_topic: Any, exported: Any) -> None:
    topic, spans = make_topic(kafka), make_topic(kafka)
    program = """
    def leave(*_):
        raise SystemExit(7)

    signal.signal(signal.SIGTERM, leave)
    sent = 0
    print("ready", flush=True)
    try:
        while True:
            producer.produce(TOPIC, str(sent).encode())
            sent += 1
            producer.poll(0)
            time.sleep(0.001)
    finally:
        producer.flush(20)
        print(sent, flush=True)
    """
    program = _PROGRAM + f"TOPIC = {topic!r}\n" + textwrap.dedent(program)
    command = [sys.executable, "-c", program, kafka, f"kafka://{kafka}/{spans}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.0)
        process.terminate()
        sent = int(process.stdout.readline())
        assert process.wait(30) == 7
    assert sent > 50
    # The signal may come between librdkafka's queue and our count.
    assert len(exported(kafka, spans, sent - 1)) in (sent, sent + 1)
