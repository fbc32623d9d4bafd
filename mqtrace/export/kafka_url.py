"""The URL of a topic that spans are written to and read from: ``kafka://host:port[,host:port]/[topic][?option=value]``.

The generic parsers do not fit: several hosts stand between ``//`` and ``/``, and an option that nobody knows is a
mistake to be reported. Nothing here needs confluent_kafka.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from mqtrace.environment import Environment
from mqtrace.urls import Url

from . import kafka_options
from .encodings import ENCODINGS
from .kafka_options import KafkaOption

__all__ = ["DEFAULT_TOPIC", "EXAMPLE", "KafkaTarget", "parse"]

DEFAULT_TOPIC: Final = "otlp_spans"
EXAMPLE: Final = "'kafka://localhost:9092/otlp_spans'"
_OPTIONS: Final = ("encoding", "partition_by_trace", "config")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%a-zA-Z]+\]|[^:\[\]\s]+)(?::(?P<port>[0-9]{0,9}))?")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what Kafka takes as a topic's name
_PORT: Final = 9092


@dataclass(frozen=True)
class KafkaTarget:
    """A topic, how to reach it, and how spans are written to it."""

    #: ``host:port``, separated by commas.
    servers: str
    topic: str
    encoding: str = "otlp_proto"
    partition_by_trace: bool = False
    #: librdkafka's, by their names.
    options: dict[str, KafkaOption] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """The options as librdkafka takes them. They may be secret."""
        return {name: option.value for name, option in self.options.items()}


def parse(url: Url, environment: Environment) -> KafkaTarget:
    """What the URL names, with the options of its file and of the environment.

    ConfigurationError for what it cannot mean.
    """
    if "@" in unquote(url.location):
        raise url.error(
            "it holds a user before '@': write it as options, "
            "'kafka://host:9092/otlp_spans?security.protocol=SASL_SSL&sasl.mechanism=PLAIN&sasl.username=...'"
            " and '&sasl.password=...'"
        )
    if not url.location.startswith("//"):
        raise url.error(f"it has no '//': write {EXAMPLE}")
    authority, _, path = url.location[2:].partition("/")
    servers = ",".join(_server(url, host) for host in authority.split(","))
    topic = unquote(path.removesuffix("/")) or DEFAULT_TOPIC
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise url.error("its path is not the name of a topic: write letters, digits, '.', '_' and '-'")
    options = url.options(_OPTIONS)
    positions = {name: position for position, name in enumerate(options, 1) if name not in _OPTIONS}
    for name, position in positions.items():
        if "." not in name:
            raise url.error(
                f"its option {position} is unknown: write 'encoding', 'partition_by_trace', 'config', or an option of "
                "librdkafka, which has a dot in its name"
            )
        if name in kafka_options.HOSTS:
            raise url.error(f"its option {position} names hosts: write them before the topic, {EXAMPLE}")
    encoding = url.choice(options, "encoding", ENCODINGS, "otlp_proto")
    by_trace = url.boolean(options, "partition_by_trace")
    path = options.pop("config", None)
    merged = kafka_options.from_environment(environment)
    if path is not None:
        merged.update(kafka_options.from_file(path, url))
    merged.update({name: KafkaOption(options[name], f"its option {at}") for name, at in positions.items()})
    return KafkaTarget(servers, topic, encoding, by_trace, merged)


def _server(url: Url, text: str) -> str:
    match = _HOST.fullmatch(unquote(text.strip()))
    if match is None:
        what = "one of its hosts is not a host" if text else "a host is missing"
        raise url.error(f"{what}: write 'kafka://host:9092/topic', an IPv6 address as '[::1]:9092'")
    port = int(match["port"] or _PORT)
    if not 0 < port < 65536:
        raise url.error("its port is out of range: write one from 1 to 65535")
    return f"{match['host']}:{port}"
