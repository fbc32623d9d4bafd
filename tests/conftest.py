"""What every test shares: how hypothesis searches, the markers, which brokers a run will use, and messages by hand."""

from __future__ import annotations

# First of all: a child that a test forks hangs where OpenTelemetry's TracerProvider was made before this module was
# imported. The provider's hook submits to a thread pool before the module's own has renewed the lock held for the fork.
import concurrent.futures.thread  # noqa: F401  # for what its import registers
import logging
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from hypothesis import HealthCheck, settings

from mqtrace.testing import Spans, record

from .certificates import make as make_certificates

# No deadline: a time limit for one example on a machine with noisy neighbours fails for the neighbours' sake.
settings.register_profile("laptop", deadline=None)
# The same examples each time: a red build is red for its change. The search for new ones happens on laptops.
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "laptop"))


def pytest_configure(config: pytest.Config) -> None:
    """The markers of tests/broker, said here because --strict-markers reads them before that folder is entered."""
    config.addinivalue_line("markers", "real_only(reason): a broker test that the embedded broker cannot serve")
    config.addinivalue_line("markers", "embedded_only(reason): a broker test that a real broker cannot serve")
    # Ignored, by us and by whatever we start, where a shell runs the suite in its background.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_ROOT_LEVEL = logging.getLogger().level


@pytest.fixture(autouse=True)
def logging_as_it_was() -> None:
    """A Celery worker in a test's process sets the root logger's level and adds a handler: not for the next test.

    Nor is the level that a test has set so that it hears mqtrace beside a worker.
    """
    root = logging.getLogger()
    root.setLevel(_ROOT_LEVEL)
    for name in [name for name in root.manager.loggerDict if name.partition(".")[0] == "mqtrace"]:
        logging.getLogger(name).setLevel(logging.NOTSET)
    for handler in list(root.handlers):
        if type(handler.formatter).__module__.partition(".")[0] == "celery":
            root.removeHandler(handler)


def pytest_report_header() -> str:
    """Where the broker tests will find their brokers; nothing is started to say it."""
    said = []
    for broker, variable in (("kafka", "KAFKA_BOOTSTRAP"), ("rabbitmq", "RABBITMQ_URL"), ("redis", "REDIS_URL")):
        address = os.environ.get(variable)
        said.append(f"{broker} at {address} ({variable})" if address else f"{broker} by compose/up or Docker")
    absent = "fail" if os.environ.get("CI") else "are skipped"
    return f"brokers: embedded kafka; {'; '.join(said)}; tests without theirs {absent}"


class FakeMessage(confluent_kafka.Message):
    """A Message whose getters say what it was made with. ``failure``: what ``error()`` gives."""

    def __new__(cls, **said: Any) -> FakeMessage:
        return super().__new__(cls)

    def __init__(self, **said: Any) -> None:
        self.said = {
            "topic": "orders",
            "partition": 3,
            "offset": 0,
            "value": b"v",
            "headers": None,
            "error": None,
            "timestamp": (confluent_kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_000),
            **said,
        }

    def topic(self) -> Any:
        return self.said["topic"]

    def partition(self) -> Any:
        return self.said["partition"]

    def offset(self) -> Any:
        return self.said["offset"]

    def value(self) -> Any:
        return self.said["value"]

    def headers(self) -> Any:
        if isinstance(self.said["headers"], Exception):
            raise self.said["headers"]
        return self.said["headers"]

    def error(self) -> Any:
        return self.said["error"]

    def timestamp(self) -> Any:
        return self.said["timestamp"]

    def __len__(self) -> int:
        return len(self.said["value"] or b"")


@pytest.fixture
def message() -> Callable[..., Any]:
    """``message(headers=[...])``: a Kafka message."""
    return FakeMessage


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record("shop") as recorded:
        yield recorded


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ca.pem, host.pem, client.pem, other.pem and their keys; see certificates.py."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def embedded() -> Any:
    """The producer that owns librdkafka's mock cluster."""
    return confluent_kafka.Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1})


@pytest.fixture
def span_topic(embedded: Any) -> Callable[..., str]:
    """``span_topic(*payloads)``: the URL of a new topic that holds these messages."""
    (broker,) = embedded.list_topics(timeout=10).brokers.values()
    bootstrap = f"{broker.host}:{broker.port}"

    def make(*payloads: bytes | None) -> str:
        name = f"spans-{uuid.uuid4().hex[:8]}"
        embedded.list_topics(name, timeout=10)
        producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
        for payload in payloads:
            producer.produce(name, payload)
        assert producer.flush(10) == 0
        return f"kafka://{bootstrap}/{name}"

    return make
