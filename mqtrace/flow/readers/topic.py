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
from mqtrace.export import kafka_options, kafka_url
from mqtrace.flow.trouble import SourceError
from mqtrace.urls import Url, hide

__all__ = ["SpanTopic", "Target", "TopicReader", "parse"]

# Partitions may be added to a topic, and a topic may not exist yet: seconds between two looks.
_LOOK: Final = 5.0
_AT_MOST: Final = 500
# A topic that is read from its beginning is read in one go: what librdkafka fetches ahead stays below this, kB.
_QUEUED_KB: Final = 32_768


@dataclass(frozen=True)
class Target:
    """Where to read: bootstrap servers, topic, and librdkafka's own settings, which may be secret."""

    bootstrap: str
    topic: str
    settings: Mapping[str, str] = field(repr=False)


def parse(text: str) -> Target:
    """``kafka://host:port[,host:port]/[topic][?option=value]``, the URL that an exporter takes.

    An option with a dot in it is librdkafka's; the exporter's own say nothing to a reader. Raises SourceError.
    """
    try:
        url = Url(text, example=kafka_url.EXAMPLE)
        if url.scheme != "kafka":
            raise url.error(f"it is not the address of a topic: write {kafka_url.EXAMPLE}")
        target = kafka_url.parse(url, Environment(os.environ))
    except ConfigurationError as error:
        raise SourceError(str(error)) from None
    return Target(target.servers, target.topic, target.values)


class SpanTopic:
    """Reads the messages of a topic. Raises SourceError if no broker answers within ``timeout`` seconds, or a
    setting is wrong.

    ``read_to``: the next offset by partition, for those that were read before; others begin where ``from_beginning``
    says.
    """

    def __init__(
        self,
        target: Target,
        *,
        from_beginning: bool,
        timeout: float = 5.0,
        read_to: Mapping[int, int] | None = None,
    ) -> None:
        self._target = target
        self._from_beginning = from_beginning
        self._assigned: set[int] = set()
        self._looked = 0.0
        #: Messages that are on the topic and were not read, as far as the broker has said.
        self.behind = 0
        #: The next offset of each partition that something was read from, or was to be read from.
        self.read_to: dict[int, int] = dict(read_to or {})
        #: Where each partition ended when it was first looked at.
        self.ends: dict[int, int] = {}
        #: librdkafka's words for a password or a certificate that is wrong.
        self._refused: str | None = None
        #: What is wrong for now.
        self.trouble: str | None = None
        settings: dict[str, Any] = {
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": _QUEUED_KB,
            # An offset that is gone, because the topic keeps no longer or was made anew.
            "auto.offset.reset": "earliest",
            "log_level": 0,  # what is wrong is said in a sentence, not in librdkafka's log lines
            **target.settings,
            "bootstrap.servers": target.bootstrap,
            "group.id": f"mqtrace-{uuid.uuid4().hex}",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "error_cb": self._error,
        }
        self._client = _client()
        try:
            self._consumer = self._client.Consumer(settings)
        except self._client.KafkaException as error:
            refusal = hide(str(error.args[0].str()), [*target.settings, *target.settings.values()])
            raise SourceError(f"the client refuses its settings: {refusal}") from None
        #: The cluster's own name; None if the broker has none.
        self.cluster: str | None = None
        self._look(first=True, timeout=timeout)

    @property
    def exists(self) -> bool:
        """Whether the topic was there when it was last looked for."""
        return bool(self._assigned)

    def _look(self, *, first: bool = False, timeout: float = 1.0) -> None:
        """Assign the partitions that are new. Those that were added after the first look are read from their start."""
        self._looked = time.monotonic()
        target = self._target
        try:
            metadata = self._consumer.list_topics(target.topic, timeout=timeout)
        except self._client.KafkaException as error:
            if first:
                self._consumer.poll(0)  # which has it say what was wrong, see _error
                self._consumer.close()
                if self._refused is not None:
                    raise SourceError(
                        f"the Kafka at {target.bootstrap} does not let this program in, {self._refused}: correct the "
                        "password or the certificates in the URL, its config or MQTRACE_KAFKA_..."
                    ) from error
                raise SourceError(
                    f"no Kafka broker answers at {target.bootstrap}: start one, or correct the address"
                ) from error
            return
        self.cluster = metadata.cluster_id or self.cluster
        topic_metadata = metadata.topics.get(target.topic)
        new = set() if topic_metadata is None else set(topic_metadata.partitions or ()) - self._assigned
        if new:
            latest = first and not self._from_beginning
            begin = self._client.OFFSET_END if latest else self._client.OFFSET_BEGINNING
            partitions = [
                self._client.TopicPartition(target.topic, number, self.read_to.get(number, begin))
                for number in sorted(new)
            ]
            self._consumer.incremental_assign(partitions)
            self._assigned |= new

    def find_ends(self, timeout: float = 5.0) -> None:
        """Ask where each partition begins and ends now. Raises SourceError if the broker does not say it."""
        for number in sorted(self._assigned):
            partition = self._client.TopicPartition(self._target.topic, number)
            try:
                marks = self._consumer.get_watermark_offsets(partition, timeout=timeout)
            except self._client.KafkaException as error:
                raise SourceError(
                    f"the broker at {self._target.bootstrap} does not say where {self._target.topic} ends: "
                    f"{error.args[0].str()}"
                ) from error
            if marks is not None:
                self.ends[number] = marks[1]
                if not self.read_to.get(number, -1) <= marks[1]:
                    del self.read_to[number]  # the topic was made anew
                self.read_to[number] = max(self.read_to.get(number, 0), marks[0])

    def _count(self) -> None:
        """How far behind it is: by the thread that reads, as the client makes another one wait for many polls."""
        behind = 0
        for number in self._assigned:
            marks = self._consumer.get_watermark_offsets(
                self._client.TopicPartition(self._target.topic, number), cached=True
            )
            end = max(marks[1] if marks is not None else -1, self.ends.get(number, -1))
            if end < 0 or number not in self.read_to:
                continue
            behind += max(0, end - self.read_to[number])
        self.behind = behind

    @property
    def at_end(self) -> bool:
        """Whether everything that :meth:`find_ends` saw was read."""
        return all(self.read_to.get(number, 0) >= end for number, end in self.ends.items())

    def read(self, timeout: float) -> list[bytes | None]:
        """The values of what has arrived, after at most ``timeout`` seconds; a record without one is None."""
        if time.monotonic() - self._looked > (_LOOK if self._assigned else 1.0):
            self._look()
        if not self._assigned:
            time.sleep(min(timeout, 0.2))
            return []
        values: list[bytes | None] = []
        first = self._consumer.poll(timeout)
        if first is not None:
            # One message may be all there is for now: what waited with it comes without waiting again.
            for message in (first, *self._consumer.consume(_AT_MOST, 0)):
                error = message.error()
                number, offset = message.partition(), message.offset()
                if number is None or offset is None:
                    continue
                if error is None:
                    self.trouble = None
                    value = message.value()
                    values.append(value if isinstance(value, bytes) or value is None else None)
                    self.read_to[number] = offset + 1
                elif error.code() == self._client.KafkaError._PARTITION_EOF:
                    # What a transaction or a compaction left has offsets, and no messages.
                    self.read_to[number] = max(self.read_to.get(number, 0), offset)
        self._count()
        return values

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def _error(self, error: Any) -> None:
        """Note an error of the connection. It passes by itself, as librdkafka goes on trying, so reading goes on."""
        if error.code() in (self._client.KafkaError._AUTHENTICATION, self._client.KafkaError._SSL):
            self._refused = hide(str(error.str()), kafka_options.secrets(self._target.settings))
        if error.code() == self._client.KafkaError._ALL_BROKERS_DOWN:
            self.trouble = (
                f"no Kafka broker answers at {self._target.bootstrap}: what was read before is shown, and reading "
                "goes on when one does"
            )


class TopicReader:
    """A :class:`mqtrace.flow.readers.protocol.Reader` of a topic.

    ``from_beginning``: also what is on it at the start.
    """

    kind = "topic"

    def __init__(self, target: Target, *, from_beginning: bool = True) -> None:
        self._target = target
        self._from_beginning = from_beginning
        self.shown = f"kafka://{target.bootstrap}/{target.topic}"
        self._topic: SpanTopic | None = None

    @property
    def identity(self) -> str:
        """The topic of a cluster, whichever of its brokers was named."""
        cluster = self._topic.cluster if self._topic is not None else None
        return f"topic {self._target.topic} of {cluster or self._target.bootstrap}"

    def start(self, read_to: Mapping[str, int]) -> None:
        """Assign the partitions."""
        # what was filled from a file has places of other names: whoever claims it refuses it
        places = {
            int(place.removeprefix("partition ")): offset
            for place, offset in read_to.items()
            if place.startswith("partition ")
        }
        if self._topic is None:
            self._topic = SpanTopic(self._target, from_beginning=self._from_beginning, read_to=places)
        else:
            raise RuntimeError("a reader is started once")
        if not self._topic.exists:
            self._trouble_of_none = f"there is no topic {self._target.topic} at {self._target.bootstrap} yet"
        if self._from_beginning:
            self._topic.find_ends()

    _trouble_of_none: str | None = None

    @property
    def exists(self) -> bool:
        """Whether the topic is there."""
        return self._topic is not None and self._topic.exists

    def read(self, timeout: float) -> list[bytes | None]:
        """What has come."""
        assert self._topic is not None
        return self._topic.read(timeout)

    def read_to(self) -> dict[str, int]:
        """By partition."""
        assert self._topic is not None
        return {f"partition {number}": offset for number, offset in self._topic.read_to.items()}

    @property
    def behind(self) -> int | None:
        """Messages."""
        return None if self._topic is None else self._topic.behind

    @property
    def at_end(self) -> bool:
        """Whether what was there at the start was read."""
        return self._topic is None or self._topic.at_end

    @property
    def trouble(self) -> str | None:
        """Of the connection, or that there is no such topic yet."""
        if self._topic is None:
            return None
        return self._topic.trouble or (None if self._topic.exists else self._trouble_of_none)

    def close(self) -> None:
        """Close the client."""
        if self._topic is not None:
            self._topic.close()


def _client() -> Any:
    """confluent_kafka, imported when a topic is read: the command itself must start without it."""
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise SourceError(
            "topics are read with confluent-kafka, which is missing: pip install 'mqtrace[kafka]'"
        ) from error
    return confluent_kafka
