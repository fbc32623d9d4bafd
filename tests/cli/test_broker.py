"""``mqtrace broker``: a Kafka for whoever has none."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer

from mqtrace.cli import main


@pytest.fixture
def broker() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "mqtrace.cli", "broker"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_other_processes_find_it_by_the_line_it_prints_and_it_ends_when_told(
    broker: subprocess.Popen[str], number: int
) -> None:
    assert broker.stdout is not None
    name, _, bootstrap = broker.stdout.readline().strip().partition("=")
    assert name == "export KAFKA_BOOTSTRAP"
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("orders", b"one pizza")
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "kitchen", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert message.value() == b"one pizza"
    broker.send_signal(number)
    assert broker.wait(10) == 0


def test_without_its_client_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mqtrace.cli.demo.broker", None)
    assert main(["broker"]) == 2
    assert "pip install 'mqtrace[kafka]'" in capsys.readouterr().err
