"""Apache Kafka 4.4 from Maven: one node that is broker and controller, on a JVM of this machine.

The short session and heartbeat let a broker that was killed register again within 5 s instead of 14 s. It counts as
ready when it says itself in its metadata and names a coordinator for groups and for transactions: only then do the
first consumer and the first transactional producer work at once. The requests are written by hand (Kafka protocol
guide: Metadata v1, FindCoordinator v1) because no client library is installed yet.

``MQTRACE_KAFKA_PROPERTIES`` names a file of more lines of its server.properties. The ``listeners`` in it (SASL_SSL and
others) stand beside the plain one, which these requests and the broker itself use.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path

from brokers.place import CHECKOUT, Place, cached, fingerprint
from brokers.ports import HOST, free_port
from brokers.process import Process, spawn
from brokers.software import copy_dependencies, java
from brokers.trouble import Trouble, say

__all__ = ["Kafka", "ask_for_topic"]

VERSION = "4.4.0"
_CLUSTER = "bXF0cmFjZS1icm9rZXJzMA"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}{listeners}
advertised.listeners=PLAINTEXT://{host}:{port}{listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,\
SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
{more}"""


class Kafka:
    name = "kafka"
    port_variable = "MQTRACE_KAFKA_PORT"
    usual_port = 19092

    def exports(self, port: int, place: Place) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP": f"{HOST}:{port}"}

    def prepare(self) -> None:
        java()
        self._jars()

    def _jars(self) -> str:
        pom = CHECKOUT / "compose" / "kafka" / "pom.xml"

        def fetch(empty: Path) -> None:
            say("kafka: fetching the jars")
            copy_dependencies(pom, empty)

        return str(cached(f"kafka-{VERSION}-{fingerprint(pom)}", fetch) / "*")

    def start(self, place: Place, port: int) -> list[Process]:
        data = place.folder / "data"
        properties = place.folder / "server.properties"
        listeners, more = _more_properties()
        text = _PROPERTIES.format(
            host=HOST, port=port, controller=free_port(), data=data, listeners=listeners, more=more
        )
        properties.write_text(text, encoding="utf-8")
        jvm = [java(), "-XX:+UseSerialGC", "-cp", self._jars()]
        if not (data / "meta.properties").exists():
            storage = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER]
            done = subprocess.run(
                [*jvm, *storage, "-c", str(properties)],
                cwd=place.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                said = (done.stderr or done.stdout).strip()[-1500:]
                raise Trouble(f"kafka: the data folder cannot be formatted: {said}")
        command = [
            *jvm,
            "-Xms256m",
            "-Xmx512m",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
            "kafka.Kafka",
            str(properties),
        ]
        return [spawn(command, log=place.log, cwd=place.folder)]

    def answers(self, port: int) -> bool:
        """Whether the broker serves: its metadata names it, and it has both coordinators."""
        try:
            with socket.create_connection((HOST, port), timeout=5) as connection:
                metadata = _ask(connection, 3, 1, struct.pack(">i", 0))
                (count,) = struct.unpack_from(">i", metadata)
                return count == 1 and all(_coordinator(connection, kind) for kind in (0, 1))
        except (OSError, struct.error):
            return False


def _more_properties() -> tuple[str, str]:
    """What the file adds that MQTRACE_KAFKA_PROPERTIES names: listeners beside the plain one, and other lines."""
    path = os.environ.get("MQTRACE_KAFKA_PROPERTIES")
    if not path:
        return "", ""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Trouble(f"MQTRACE_KAFKA_PROPERTIES={path!r} cannot be read: {error.strerror}.") from None
    listeners = [line.partition("=")[2].strip() for line in lines if line.startswith("listeners=")]
    more = [f"{line}\n" for line in lines if not line.startswith("listeners=")]
    return "".join(f",{one}" for one in listeners), "".join(more)


def ask_for_topic(address: str, topic: str) -> bool:
    """Whether the broker has the topic; one that makes topics makes it when it is asked."""
    host, _, port = address.rpartition(":")
    name = topic.encode()
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            answer = _ask(connection, 3, 1, struct.pack(">ih", 1, len(name)) + name)
    except (OSError, struct.error):
        return False
    # It ends with the topic: error, name, is_internal, partitions. Found by its name, and told from the brokers before.
    (error,) = struct.unpack_from(">h", answer, answer.rindex(struct.pack(">h", len(name)) + name) - 2)
    return bool(error == 0)


def _coordinator(connection: socket.socket, kind: int) -> bool:
    """Whether there is a coordinator for a group (0) or a transaction (1); asking makes its topic."""
    key = b"mqtrace-ready"
    answer = _ask(connection, 10, 1, struct.pack(">h", len(key)) + key + struct.pack(">b", kind))
    _throttle, error = struct.unpack_from(">ih", answer)
    return bool(error == 0)


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """One request and its answer, without the header (request header v1, response header v0)."""
    request = struct.pack(">hhih", api, version, 1, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    with connection.makefile("rb") as stream:
        (size,) = struct.unpack(">i", stream.read(4))
        return stream.read(size)[4:]
