"""The topic that spans are read from, by a client that nothing traces and that leaves nothing behind.

Partitions are assigned, not subscribed to: no group is formed, nothing is committed, and reading begins at once.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.export import kafka_url
from mqtrace.urls import Url, hide

from .trouble import CommandError

__all__ = ["SpanTopic", "Target", "parse"]

# Partitions may be added to a topic, and a topic may not exist yet: seconds between two looks.
_LOOK: Final = 5.0
_AT_MOST: Final = 500


@dataclass(frozen=True)
class Target:
    """Where to read: bootstrap servers, topic, and librdkafka's own settings, which may be secret."""

    bootstrap: str
    topic: str
    settings: Mapping[str, str] = field(repr=False)


def parse(text: str) -> Target:
    """``kafka://host:port[,host:port]/[topic][?option=value]``, the URL that an exporter takes.

    An option with a dot in it is librdkafka's; the exporter's own say nothing to a reader. Raises CommandError.
    """
    try:
        url = Url(text, example=kafka_url.EXAMPLE)
        if url.scheme != "kafka":
            raise url.error(f"it is not the address of a topic: write {kafka_url.EXAMPLE}")
        target = kafka_url.parse(url, Environment(os.environ))
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    return Target(target.servers, target.topic, target.values)


class SpanTopic:
    """Reads the messages of a topic. Raises CommandError where no broker answers within ``timeout`` seconds, or a
    setting is wrong.
    """

    def __init__(self, target: Target, *, from_beginning: bool, timeout: float = 5.0) -> None:
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
        self._client = _client()
        try:
            self._consumer = self._client.Consumer(settings)
        except self._client.KafkaException as error:
            refusal = hide(str(error.args[0].str()), [*target.settings, *target.settings.values()])
            # from None: its own words quote the settings
            raise CommandError(f"the client refuses its settings: {refusal}") from None
        self._look(first=True, timeout=timeout)

    @property
    def exists(self) -> bool:
        """Whether the topic was there when it was last looked for."""
        return bool(self._known)

    def _look(self, *, first: bool = False, timeout: float = 1.0) -> None:
        """Assign the partitions that are new; those that were not there at the first look from their start."""
        self._looked = time.monotonic()
        target = self._target
        try:
            found = self._consumer.list_topics(target.topic, timeout=timeout).topics.get(target.topic)
        except self._client.KafkaException as error:
            if first:
                self._consumer.close()
                raise CommandError(
                    f"no Kafka broker answers at {target.bootstrap}: start one, or correct the address"
                ) from error
            return
        new = set() if found is None else set(found.partitions or ()) - self._known
        if new:
            latest = first and not self._from_beginning
            begin = self._client.OFFSET_END if latest else self._client.OFFSET_BEGINNING
            partitions = [self._client.TopicPartition(target.topic, number, begin) for number in sorted(new)]
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


def _client() -> Any:
    """confluent_kafka, imported when a topic is read: the command itself must start without it."""
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise CommandError(
            "topics are read with confluent-kafka, which is missing: pip install 'mqtrace[kafka]'"
        ) from error
    return confluent_kafka


def _ignore(_: object) -> None:
    """Errors of the connection pass by themselves: librdkafka goes on trying."""
