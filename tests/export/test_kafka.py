"""The Kafka exporter where no broker answers, and against a producer whose answers the test decides."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core
from mqtrace.errors import ConfigurationError
from mqtrace.export.batch import BatchProcessor
from mqtrace.export.kafka import KafkaExporter

Process = Callable[..., BatchProcessor]


def _decode(payload: bytes) -> list[Any]:
    data = trace_pb2.TracesData.FromString(payload)
    return [span for resource in data.resource_spans for scope in resource.scope_spans for span in scope.spans]


class Broker:
    """What the exporter's producers were given, and what is answered: ``answer(producer, payload)`` -> KafkaError."""

    def __init__(self) -> None:
        self.configurations: list[Mapping[str, Any]] = []
        self.arrived: list[tuple[bytes | None, bytes]] = []
        self.tries = 0
        self.answer: Callable[[Any, bytes], Any] = lambda producer, payload: None
        self.refuse: Callable[[bytes], BaseException | None] = lambda payload: None

    def __call__(self, configuration: Mapping[str, Any]) -> Any:
        self.configurations.append(configuration)
        return FakeProducer(self, configuration)


class FakeProducer:
    def __init__(self, broker: Broker, configuration: Mapping[str, Any]) -> None:
        self.broker = broker
        self.configuration = configuration
        self.queue: list[Any] = []

    def produce(self, topic: str, value: bytes, key: bytes | None, partition: int, callback: Any) -> None:
        self.broker.tries += 1
        refusal = self.broker.refuse(value)
        if refusal is not None:
            raise refusal
        self.queue.append((value, key, callback))

    def poll(self, timeout: float) -> int:
        queue, self.queue = self.queue, []
        for value, key, callback in queue:
            error = self.broker.answer(self, value)
            if error is None:
                self.broker.arrived.append((key, value))
            callback(error, None)
        return len(queue)

    def flush(self, timeout: float) -> int:
        while self.queue:
            self.poll(0)
        return 0

    def purge(self, **options: bool) -> None:
        pass

    def __len__(self) -> int:
        return len(self.queue)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr("mqtrace.export.kafka.Producer", made)
    return made


@pytest.fixture
def exporter(broker: Broker) -> KafkaExporter:
    made = KafkaExporter("h:9092")
    broker.configurations.clear()
    return made


@pytest.fixture(scope="module")
def dead() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def _sizes(broker: Broker) -> list[int]:
    return [len(_decode(payload)) for _, payload in broker.arrived]


# ---------------------------------------------------------------------- a broker that answers


def test_a_batch_is_one_message_without_a_key(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter
) -> None:
    processor = process(exporter)
    maker(processor).end(250)
    assert processor.flush(5)
    assert sorted(_sizes(broker)) == [50, 100, 100]
    assert {key for key, _ in broker.arrived} == {None}
    stats = processor.stats()
    assert stats["bytes_exported"] == sum(len(payload) for _, payload in broker.arrived)
    assert stats["batches_exported"] == 3


def test_the_exporters_producer_is_not_the_one_that_an_application_put_into_the_library() -> None:
    """FAULTS 17."""
    program = """
import confluent_kafka, mqtrace
raw = confluent_kafka.Producer
confluent_kafka.Producer = mqtrace.wrap(raw)
from mqtrace.export import kafka
assert kafka.Producer is raw
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_by_trace_each_trace_is_a_message_with_its_id_as_the_key(process: Process, maker: Any, broker: Broker) -> None:
    processor = process(KafkaExporter("h:9092", partition_by_trace=True))
    spans = maker(processor)
    roots = [spans.start() for _ in range(3)]
    for root in roots * 2:
        core.start(spans.work, root, core.Span).end()
    assert processor.flush(5)
    assert {key: len(_decode(payload)) for key, payload in broker.arrived} == {
        root.trace_id.encode(): 2 for root in roots
    }
    assert processor.stats()["spans_exported"] == 6


def test_what_librdkafka_refuses_as_too_large_is_halved_and_the_limit_remembered(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter
) -> None:
    limit = 3000
    error = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    broker.refuse = lambda payload: error if len(payload) > limit else None
    processor = process(exporter)
    spans = maker(processor)
    spans.end(100)
    assert processor.flush(5)
    assert sum(_sizes(broker)) == 100
    assert len(broker.configurations) == 1
    tries = broker.tries
    spans.end(100)
    assert processor.flush(5)
    assert sum(_sizes(broker)) == 200
    assert broker.tries - tries == len(broker.arrived) // 2, "the second batch tried what the first had learned"


def test_what_a_topic_refuses_is_first_sent_alone_and_then_halved(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter
) -> None:
    """The broker's limit holds for a request of several messages, so the first refusal says nothing of one of them."""

    def answer(producer: FakeProducer, payload: bytes) -> KafkaError | None:
        alone = producer.configuration.get("batch.num.messages") == "1"
        return None if alone and len(_decode(payload)) <= 50 else KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)

    broker.answer = answer
    processor = process(exporter)
    maker(processor).end(140)
    assert processor.flush(5)
    assert sorted(_sizes(broker)) == [40, 50, 50]
    assert len(broker.configurations) == 2
    assert processor.stats()["spans_exported"] == 140


@pytest.mark.parametrize("where", ["refuse", "answer"])
def test_one_span_that_is_too_large_is_dropped_and_the_others_arrive(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter, where: str
) -> None:
    error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    if where == "refuse":
        broker.refuse = lambda payload: KafkaException(error) if len(payload) > 20_000 else None
    else:
        broker.answer = lambda producer, payload: error if len(payload) > 20_000 else None
    processor = process(exporter)
    spans = maker(processor)
    spans.end(49)
    large = spans.start()
    large.set_attribute("text", "x" * 30_000)
    large.end()
    spans.end(49)  # one more would fill the batch, and the worker might be done before anybody waits for it
    assert not processor.flush(5)
    stats = processor.stats()
    assert (stats["spans_exported"], stats["spans_dropped"]["too_large"]) == (98, 1)


def test_one_span_that_cannot_be_encoded_is_dropped_and_the_others_arrive(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter
) -> None:
    processor = process(exporter)
    spans = maker(processor)
    spans.end(10)
    broken = spans.start()
    broken.identity = b"00-" + b"?" * 52
    broken.end()
    spans.end(10)
    assert not processor.flush(5)
    stats = processor.stats()
    assert (stats["spans_exported"], stats["spans_dropped"]["encode_failed"]) == (20, 1)


def test_a_full_queue_of_librdkafka_is_tried_again(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter
) -> None:
    full = iter([BufferError(), BufferError(), BufferError()])
    broker.refuse = lambda payload: next(full, None)
    processor = process(exporter)
    maker(processor).end(250)
    assert processor.flush(5)
    assert sum(_sizes(broker)) == 250


def test_but_not_beyond_the_export_timeout(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter
) -> None:
    broker.refuse = lambda payload: BufferError()
    processor = process(exporter, export_timeout=0.1)
    maker(processor).end(50)
    assert not processor.flush(5)
    assert processor.stats()["spans_dropped"]["export_failed"] == 50


def test_what_the_broker_refuses_is_counted_and_said_once(
    process: Process, maker: Any, broker: Broker, exporter: KafkaExporter, caplog: pytest.LogCaptureFixture
) -> None:
    broker.answer = lambda producer, payload: KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    processor = process(exporter)
    spans = maker(processor)
    for _ in range(3):
        spans.end(50)
        assert not processor.flush(5)
    assert processor.stats()["spans_dropped"]["export_failed"] == 150
    assert len(caplog.records) == 1
    assert "create the topic" in caplog.text


def test_the_settings_of_the_processor_and_of_the_user_reach_librdkafka(
    process: Process, maker: Any, broker: Broker
) -> None:
    processor = process(KafkaExporter("h:9092", options={"linger.ms": "7"}), export_timeout=12.0)
    maker(processor).end(1)
    processor.flush(5)
    configuration = broker.configurations[-1]
    assert configuration["message.timeout.ms"] == "12000"
    assert configuration["linger.ms"] == "7"
    assert configuration["bootstrap.servers"] == "h:9092"


# ---------------------------------------------------------------------- real librdkafka, no broker


def test_a_wrong_encoding_or_option_is_a_configuration_error() -> None:
    wrong: list[dict[str, Any]] = [{"encoding": "xml"}, {"options": {"no.such": "1"}}, {"options": {"acks": "most"}}]
    for arguments in wrong:
        with pytest.raises(ConfigurationError):
            KafkaExporter("h:9092", **arguments)


def test_a_dead_broker_keeps_neither_flush_nor_shutdown_beyond_the_timeout(
    process: Process, maker: Any, dead: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """FAULTS 15."""
    processor = process(KafkaExporter(dead))
    maker(processor).end(1000)
    for call in (processor.flush, processor.shutdown):
        began = time.monotonic()
        assert not call(0.5)
        assert time.monotonic() - began < 1.5
    stats = processor.stats()
    assert (stats["spans_queued"], stats["spans_in_flight"], stats["spans_dropped"]["shutdown"]) == (0, 0, 1000)
    assert capfd.readouterr().err == ""
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert dead in warnings[0].getMessage()


def test_a_dead_broker_does_not_take_the_memory(process: Process, maker: Any, dead: str) -> None:
    processor = process(KafkaExporter(dead), max_queue_size=500)
    spans = maker(processor)
    for _ in range(20):
        spans.end(100)
        time.sleep(0.005)
        stats = processor.stats()
        assert stats["spans_queued"] + stats["spans_in_flight"] <= 500
    assert stats["spans_dropped"]["queue_full"] == 1500


def test_what_librdkafka_holds_is_told_until_it_has_ended(maker: Any, dead: str) -> None:
    exporter = KafkaExporter(dead, "spans")
    spans = maker()
    spans.end(50)
    completed: list[int] = []
    exporter.submit(list(spans.pipeline.sink.queue), lambda exported, size, lost: completed.append(sum(lost.values())))
    alone = exporter.held_bytes
    exporter.submit(list(spans.pipeline.sink.queue), lambda exported, size, lost: completed.append(sum(lost.values())))
    assert alone > 2 * 50 * 50
    assert exporter.held_bytes == 2 * alone
    exporter.shutdown(0.1)
    assert completed == [50, 50]
    assert exporter.held_bytes == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_neither_uses_nor_destroys_the_parents_producer(process: Process, maker: Any, dead: str) -> None:
    processor = process(KafkaExporter(dead))
    spans = maker(processor)
    spans.end(200)
    assert not processor.flush(0.2)
    child = os.fork()
    if child == 0:
        spans.end(5)
        processor.flush(0.2)
        os._exit(0 if processor.stats()["spans_in_flight"] == 5 and not processor.shutdown(0.2) else 1)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)
    assert done[1] == 0
    assert processor.stats()["spans_in_flight"] == 200


# ---------------------------------------------------------------------- what is said

SECRET = "s3cr3tPa55"


def test_librdkafkas_words_are_shown_without_the_options(
    process: Process, maker: Any, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = KafkaExporter("h:9092", options={"sasl.oauthbearer.config": f"principal={SECRET},x=y"})
    broker.answer = lambda producer, payload: KafkaError(KafkaError._AUTHENTICATION, f"refused: {SECRET},x=y")
    processor = process(exporter)
    maker(processor).end(5)
    assert not processor.flush(5)
    configuration = broker.configurations[-1]
    configuration["error_cb"](KafkaError(KafkaError._TRANSPORT, f"unrecognized config beginning at: ipal={SECRET}"))
    configuration["error_cb"](KafkaError(KafkaError._AUTHENTICATION, f"login with {SECRET}"))
    configuration["logger"].log(logging.DEBUG, "CONF: sasl.oauthbearer.config = %s", f"principal={SECRET},x=y")
    assert "refused: ..." in caplog.text
    assert "CONF: sasl.oauthbearer.config = ..." in caplog.text
    assert SECRET not in caplog.text


def test_a_reason_is_said_once_and_what_follows_from_it_is_not(
    process: Process, maker: Any, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    processor = process(KafkaExporter("h:9092", options={"ssl.ca.location": "/etc/certificates/ca.pem"}))
    maker(processor).end(1)
    assert processor.flush(5)
    broker.answer = lambda producer, payload: KafkaError(KafkaError._MSG_TIMED_OUT)
    error_cb = broker.configurations[-1]["error_cb"]
    for _ in range(3):
        error_cb(KafkaError(KafkaError._SSL, "certificate verify failed"))
        error_cb(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
        maker(processor).end(1)
        assert not processor.flush(5)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "spans wait for the brokers at h:9092: certificate verify failed"


@pytest.fixture
def report(process: Process, maker: Any, broker: Broker, exporter: KafkaExporter) -> Callable[[int, str], None]:
    """``report(code, words)``: an error that librdkafka reports, after a span that arrived."""
    processor = process(exporter)
    maker(processor).end(1)
    assert processor.flush(5)
    error_cb = broker.configurations[-1]["error_cb"]
    return lambda code, words: error_cb(KafkaError(code, words))


def test_brokers_that_are_down_are_said_with_the_reason_that_a_connection_gave(
    report: Callable[[int, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    report(KafkaError._TRANSPORT, "Connection refused")
    report(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "spans wait for the brokers at h:9092: 1/1 brokers are down, Connection refused"


def test_a_reason_that_comes_after_what_follows_from_it_is_not_said_again(
    report: Callable[[int, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    report(KafkaError._TRANSPORT, "certificate verify failed (after 15ms in state SSL_HANDSHAKE)")
    report(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
    report(KafkaError._SSL, "SSL handshake failed: certificate verify failed")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "certificate verify failed" in line


def test_librdkafkas_dump_of_its_configuration_shows_no_option(
    process: Process, maker: Any, dead: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    options = {"debug": "conf,security", "sasl.username": SECRET, "client.rack": SECRET}
    processor = process(KafkaExporter(dead, options=options))
    maker(processor).end(5)
    processor.flush(0.5)
    processor.shutdown(0.1)
    assert "client.rack" in caplog.text
    assert SECRET not in caplog.text + capfd.readouterr().err


def test_a_producer_that_cannot_be_built_loses_its_spans_with_a_sentence(
    process: Process, maker: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    processor = process(KafkaExporter("h:9092", options={"client.id": SECRET}))

    def refuse(configuration: Mapping[str, Any]) -> None:
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG, f"{configuration['client.id']}: no such file"))

    monkeypatch.setattr("mqtrace.export.kafka.Producer", refuse)
    maker(processor).end(5)
    assert not processor.flush(5)
    assert processor.stats()["spans_dropped"]["export_failed"] == 5
    (line,) = caplog.records
    assert "no such file" in line.getMessage()
    assert SECRET not in caplog.text
