"""The topic that spans are read from, by a client that nothing traces and that leaves nothing behind.

Partitions are assigned, not subscribed to: no group is formed, nothing is committed, and reading begins at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import confluent_kafka

from .trouble import CommandError

__all__ = ["SpanTopic", "Target", "parse"]

DEFAULT_TOPIC: Final = "otlp_spans"
_EXAMPLE: Final = "kafka://localhost:9092/otlp_spans"
# Partitions may be added to a topic, and a topic may not exist yet: seconds between two looks.
_LOOK: Final = 5.0
_AT_MOST: Final = 500


class Target(NamedTuple):
    """Where to read: bootstrap servers, topic, and librdkafka's own settings."""

    bootstrap: str
    topic: str
    settings: Mapping[str, str]


def parse(url: str) -> Target:
    """``kafka://host:port[,host:port]/[topic][?option=value]``, the URL that an exporter takes.

    An option with a dot in it is librdkafka's; the exporter's own say nothing to a reader. Raises CommandError.
    """
    parts = urlsplit(url)
    if parts.scheme != "kafka" or not parts.netloc:
        raise CommandError(f"{url!r} is no address of a topic: write {_EXAMPLE}")
    if "@" in parts.netloc:
        raise CommandError(
            "the address of the topic has a user in it: "
            "write kafka://host:port/topic?security.protocol=SASL_SSL&sasl.username=..."
        )
    servers = [server if ":" in server else f"{server}:9092" for server in parts.netloc.split(",") if server]
    topic = unquote(parts.path.strip("/")) or DEFAULT_TOPIC
    if not servers or "/" in topic:
        raise CommandError(f"{url!r} is no address of a topic: write {_EXAMPLE}")
    pairs = (option.partition("=") for option in parts.query.split("&"))
    options = {unquote(key): unquote(value) for key, _, value in pairs if "." in key}
    return Target(",".join(servers), topic, options)


class SpanTopic:
    """Reads the messages of a topic. Raises CommandError where no broker answers, or a setting is wrong."""

    def __init__(self, target: Target, *, from_beginning: bool) -> None:
        self._target = target
        self._from_beginning = from_beginning
        self._known: set[int] = set()
        self._looked = 0.0
        settings: dict[str, Any] = {
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 100,
            "log_level": 0,  # what is wrong is said in a sentence, not in librdkafka's log lines
            **target.settings,
            "bootstrap.servers": target.bootstrap,
            "group.id": f"mqtrace-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "error_cb": _ignore,
        }
        try:
            self._consumer = confluent_kafka.Consumer(settings)
        except confluent_kafka.KafkaException as error:
            raise CommandError(f"the client refuses its settings: {error.args[0].str()}") from error
        self._look(first=True)

    @property
    def exists(self) -> bool:
        """Whether the topic was there when it was last looked for."""
        return bool(self._known)

    def _look(self, *, first: bool = False) -> None:
        """Assign the partitions that are new; those that were not there at the first look from their start."""
        self._looked = time.monotonic()
        target = self._target
        try:
            found = self._consumer.list_topics(target.topic, timeout=5 if first else 1).topics.get(target.topic)
        except confluent_kafka.KafkaException as error:
            if first:
                self._consumer.close()
                raise CommandError(
                    f"no Kafka broker answers at {target.bootstrap}: start one, or correct the address"
                ) from error
            return
        new = set() if found is None else set(found.partitions or ()) - self._known
        if new:
            latest = first and not self._from_beginning
            begin = confluent_kafka.OFFSET_END if latest else confluent_kafka.OFFSET_BEGINNING
            partitions = [confluent_kafka.TopicPartition(target.topic, number, begin) for number in sorted(new)]
            self._consumer.incremental_assign(partitions)
            self._known |= new

    def read(self, timeout: float) -> list[bytes | None]:
        """The values of what has arrived, after at most ``timeout`` seconds; a record without one is None."""
        if time.monotonic() - self._looked > (_LOOK if self._known else 1.0):
            self._look()
        if not self._known:
            time.sleep(min(timeout, 0.2))
            return []
        values: list[bytes | None] = []
        first = self._consumer.poll(timeout)
        if first is not None:
            # One message may be all there is for now: what waited with it comes without waiting again.
            for message in (first, *self._consumer.consume(_AT_MOST, 0)):
                if message.error() is None:
                    value = message.value()
                    values.append(value if isinstance(value, bytes) or value is None else None)
        return values

    def close(self) -> None:
        """Let go of the topic."""
        self._consumer.close()


def _ignore(_: object) -> None:
    """Errors of the connection pass by themselves: librdkafka goes on trying."""
