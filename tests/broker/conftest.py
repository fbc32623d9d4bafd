"""Brokers for tests, found when the first test asks for one, in this order:

1. its address in the environment: ``KAFKA_BOOTSTRAP``, ``RABBITMQ_URL``, ``REDIS_URL``;
2. the one that ``compose/up`` runs in this checkout, else one that it can start with what is installed (stopped and
   erased at the end of the session);
3. testcontainers, where a Docker daemon answers;
4. none: the test is skipped and says why, and with ``CI`` set it fails, because there a skip would go unseen.

Every test that takes ``kafka`` runs twice: on the embedded broker (the mock cluster of librdkafka, in this process)
and on the real one. ``@pytest.mark.real_only(reason)`` and ``@pytest.mark.embedded_only(reason)`` leave one out.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__

import mqtrace

from .secure_kafka import SecureKafka

_CHECKOUT = Path(__file__).resolve().parents[2]
_RUN = _CHECKOUT / ".brokers" / f"pytest-{os.getpid()}"


_EMBEDDED: dict[str, Producer] = {}


class _Absent(Exception):
    """This way leads to no broker; the text says why."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test on a real broker pays for its start, and on a new machine for the download."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test on each kind of broker that can serve it."""
    if "kafka" in metafunc.fixturenames:
        kinds = ["embedded", "real"]
        if metafunc.definition.get_closest_marker("real_only"):
            kinds.remove("embedded")
        if metafunc.definition.get_closest_marker("embedded_only"):
            kinds.remove("real")
        metafunc.parametrize("kafka", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kafka_embedded() -> Iterator[str]:
    """The address of librdkafka's mock cluster; it lives as long as the producer that owns it."""
    owner = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1})
    (broker,) = owner.list_topics(timeout=10).brokers.values()
    address = f"{broker.host}:{broker.port}"
    _EMBEDDED[address] = owner
    yield address
    del _EMBEDDED[address]


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a real Kafka."""
    with _broker("kafka", "KAFKA_BOOTSTRAP", _kafka_container) as address:
        yield address


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """The AMQP URL of a real RabbitMQ."""
    with _broker("rabbitmq", "RABBITMQ_URL", _rabbitmq_container) as address:
        yield address


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real Redis."""
    with _broker("redis", "REDIS_URL", _redis_container) as address:
        yield address


@pytest.fixture(scope="session")
def otelcol_file() -> str:
    """Where an OpenTelemetry Collector writes what it reads from otlp_spans: OTLP JSON, a TracesData a line."""
    return _reader("otelcol", "OTELCOL_FILE")


@pytest.fixture(scope="session")
def otelcol_url() -> str:
    """Where the same Collector takes OTLP over HTTP."""
    return _reader("otelcol", "OTELCOL_URL")


@pytest.fixture(scope="session")
def jaeger_url() -> str:
    """The URL of a Jaeger that reads otlp_spans."""
    return _reader("jaeger", "JAEGER_URL")


@pytest.fixture(scope="session")
def jaeger_otlp_url() -> str:
    """Where the same Jaeger takes OTLP over HTTP."""
    return _reader("jaeger", "JAEGER_OTLP_URL")


@pytest.fixture(scope="session")
def zipkin_url() -> str:
    """The URL of a Zipkin that reads the topic zipkin."""
    return _reader("zipkin", "ZIPKIN_URL")


def _reader(name: str, variable: str) -> str:
    """A reader that runs. None is started, since building one takes minutes: `.ci/run` starts those it can."""
    if address := os.environ.get(variable):
        return address
    if (_CHECKOUT / "compose" / "up").is_file():
        with contextlib.suppress(_Absent):
            return _address(_compose("up", "--running", name), variable)
    pytest.skip(f"no {name}: {variable} is not set and `compose/up {name}` was not called")


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """The address of a Kafka-protocol broker, once the embedded and once the real one."""
    name = "kafka_embedded" if request.param == "embedded" else "kafka_bootstrap"
    return str(request.getfixturevalue(name))


@pytest.fixture(scope="session")
def make_topic() -> Callable[..., str]:
    """``make_topic(bootstrap, partitions=1)``: the name of a new topic that takes messages at once."""
    return _make_topic


@pytest.fixture
def topic(kafka: str) -> str:
    """The name of a new topic on the broker of this test: one partition on a real broker, four on the embedded."""
    return _make_topic(kafka)


@pytest.fixture
def group() -> str:
    """A consumer group that nobody has used."""
    return f"group-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def consumer_of(kafka: str, group: str) -> Iterator[Callable[..., Any]]:
    """``consumer_of(topic, ..., kind=wrap(Consumer), **settings)``: one that reads from the beginning; closed later.

    Settings are written with ``_`` for ``.``. Its group is new for every test unless ``group_id`` says another. The
    embedded broker lets the first member of a group wait 3 s, so there the partitions are assigned.
    """
    consumers: list[Any] = []

    def make(*topics: str, kind: Any = None, **settings: Any) -> Any:
        configuration = {"group_id": group, "auto_offset_reset": "earliest", "client_id": "cook", **settings}
        made = (kind or mqtrace.wrap(Consumer))(
            {
                "bootstrap.servers": kafka,
                **{
                    name if name == "on_commit" else name.replace("_", "."): configuration[name]
                    for name in configuration
                },
            }
        )
        consumers.append(made)
        if topics and kafka in _EMBEDDED:
            known = {topic: made.list_topics(topic, timeout=20).topics[topic].partitions for topic in topics}
            made.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for topic in topics for one in known[topic]])
        elif topics:
            made.subscribe(list(topics))
        return made

    yield make
    for consumer in consumers:
        consumer.close()


class OwnKafka:
    """A real broker that a test may kill: no other test and no person uses it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        self._environment = {"MQTRACE_BROKERS_DIR": str(folder), **environment}
        self.address = self.start(MQTRACE_KAFKA_PORT="0")

    def start(self, **environment: str) -> str:
        """Start it, again on the same port and data; gives its address."""
        return _address(_compose("up", "--no-install", "kafka", **self._environment, **environment), "KAFKA_BOOTSTRAP")

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        ((pid, _),) = json.loads((self._folder / "kafka" / "state.json").read_text())["processes"]
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Stop it, if it lives, and remove its data."""
        _compose("down", "--erase", **self._environment)


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[OwnKafka]:
    """A real Kafka of this test's own: ``address``, ``kill()``, ``start()``."""
    with _own_kafka(tmp_path / "brokers") as broker:
        yield broker


@pytest.fixture(scope="module")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[SecureKafka]:
    """A real Kafka that wants passwords and certificates; see secure_kafka.py."""
    folder = tmp_path_factory.mktemp("secure")
    secure = SecureKafka(folder, certificates)
    with _own_kafka(folder / "brokers", MQTRACE_KAFKA_PROPERTIES=str(secure.properties)) as broker:
        secure.begin(broker.address)
        yield secure
        secure.end()


@contextlib.contextmanager
def _own_kafka(folder: Path, **environment: str) -> Iterator[OwnKafka]:
    try:
        broker = OwnKafka(folder, **environment)
    except _Absent as absent:
        if os.environ.get("CI"):
            pytest.fail(f"no kafka of its own: {absent}", pytrace=False)
        pytest.skip(f"no kafka of its own: {absent}")
    try:
        yield broker
    finally:
        broker.end()


@pytest.fixture
def polled() -> Callable[..., list[Any]]:
    """``polled(consumer, count)``: so many messages of it, events left out."""

    def poll(consumer: Any, count: int, seconds: float = 30.0) -> list[Any]:
        found: list[Any] = []
        deadline = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
        assert len(found) == count
        return found

    return poll


@pytest.fixture
def exported() -> Callable[..., list[tuple[str, Any]]]:
    """``exported(bootstrap, topic, count)``: (service, span) of so many spans on a span topic.

    Decoded by ``opentelemetry-proto``, as the OpenTelemetry Collector decodes them.
    """

    def read(bootstrap: str, topic: str, count: int, seconds: float = 30.0) -> list[tuple[str, Any]]:
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

        settings = {"bootstrap.servers": bootstrap, "group.id": f"read-{uuid.uuid4().hex[:12]}"}
        consumer = Consumer(settings)
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
        found: list[tuple[str, Any]] = []
        deadline = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            for resource in TracesData.FromString(message.value() or b"").resource_spans:
                service = {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"]
                found += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        consumer.close()
        assert len(found) >= count, f"{len(found)} of {count} spans are on {topic}"
        return found

    return read


@functools.cache
def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def _make_topic(bootstrap: str, partitions: int = 1) -> str:
    name = f"topic-{uuid.uuid4().hex[:12]}"
    if owner := _EMBEDDED.get(bootstrap):  # it has no request to create a topic: it makes one when asked about it
        known = owner.list_topics(name, timeout=20).topics[name]
        assert known.partitions, f"the embedded broker made no topic {name}: {known.error}"
    else:
        _admin(bootstrap).create_topics([NewTopic(name, partitions, 1)])[name].result(timeout=20)
    return name


@contextlib.contextmanager
def _broker(name: str, variable: str, container: Callable[[], tuple[Any, Callable[[], str]]]) -> Iterator[str]:
    """The address of a broker while the session needs it."""
    if address := os.environ.get(variable):
        yield address
        return
    reasons = [f"{variable} is not set"]
    for way in (_by_compose, functools.partial(_by_docker, container)):
        with contextlib.ExitStack() as stack:
            try:
                address = stack.enter_context(way(name, variable))
            except _Absent as absent:
                reasons.append(str(absent))
            else:
                yield address
                return
    reason = f"no {name}: {'; '.join(reasons)}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def _by_compose(name: str, variable: str) -> Iterator[str]:
    if not (_CHECKOUT / "compose" / "up").is_file():
        raise _Absent("there is no compose/up beside these tests")
    with contextlib.suppress(_Absent):
        yield _address(_compose("up", "--running", name), variable)
        return
    _end_those_of_killed_sessions()
    # A folder of this session: what people keep in .brokers is theirs, and two sessions do not meet.
    environment = {"MQTRACE_BROKERS_DIR": str(_RUN), f"MQTRACE_{name.upper()}_PORT": "0"}
    try:
        yield _address(_compose("up", "--no-install", name, **environment), variable)
    finally:
        _compose("down", "--erase", name, **environment)
        shutil.rmtree(_RUN / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            _RUN.rmdir()


def _end_those_of_killed_sessions() -> None:
    for folder in _RUN.parent.glob("pytest-*"):
        pid = int(folder.name.partition("-")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            _compose("down", "--erase", MQTRACE_BROKERS_DIR=str(folder))
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            pass


def _compose(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(_CHECKOUT / "compose" / program), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode:
        raise _Absent(done.stderr.strip().partition("compose/up: ")[2].replace("\n", " ") or "compose/up failed")
    return done.stdout


def _address(exports: str, variable: str) -> str:
    """The value of one of the shell lines that compose/up prints."""
    for line in exports.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        if name == variable:
            return shlex.split(value)[0]
    raise _Absent(f"compose/up said no {variable}")


@contextlib.contextmanager
def _by_docker(make: Callable[[], tuple[Any, Callable[[], str]]], _name: str, _variable: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a constructor that finds no daemon leaves a socket behind
            container, address = make()
    except Exception as error:  # the Docker client raises its own, requests' and the socket's
        raise _Absent(f"no Docker daemon answers ({type(error).__name__})") from None
    with container:
        yield address()


def _kafka_container() -> tuple[Any, Callable[[], str]]:
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer().with_kraft()
    return container, container.get_bootstrap_server


def _rabbitmq_container() -> tuple[Any, Callable[[], str]]:
    from testcontainers.community.rabbitmq import RabbitMqContainer

    container = RabbitMqContainer()

    def url() -> str:
        return f"amqp://guest:guest@{container.get_container_host_ip()}:{container.get_exposed_port(5672)}/"

    return container, url


def _redis_container() -> tuple[Any, Callable[[], str]]:
    from testcontainers.community.redis import RedisContainer

    container = RedisContainer()
    return container, lambda: f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
