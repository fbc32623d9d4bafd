"""Exporters by URL (RFC 3986): ``kafka://host:9092/otlp_spans?compression.type=lz4``.

The generic parsers do not fit: several hosts stand between ``//`` and ``/``, and an option that nobody knows is a
mistake to be named, not to be passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from mqtrace.errors import ConfigurationError

from .console import ConsoleExporter
from .discard import DiscardExporter
from .file import FileExporter
from .memory import MemoryExporter

__all__ = ["from_url"]

_EXAMPLES: Final = (
    "'kafka://localhost:9092/otlp_spans', 'file:///var/log/spans.jsonl', 'console:', 'memory:' or 'none:'"
)
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%a-zA-Z]+\]|[^:\[\]\s]+)(?::(?P<port>[0-9]*))?")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what Kafka takes as a topic's name
_PORT: Final = 9092
_TOPIC_DEFAULT: Final = "otlp_spans"
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def from_url(url: str) -> Any:
    """The exporter that ``url`` names. ConfigurationError: one sentence, what was wrong and what to write instead."""
    match = _URL.fullmatch(url.strip())
    scheme = match["scheme"].lower() if match else ""
    if match is None or ("." in scheme and scheme not in _MAKERS):
        raise ConfigurationError(f"exporter={_shown(url)!r} is no URL: write {_EXAMPLES}")
    if scheme in ("http", "https"):
        raise ConfigurationError(
            f"exporter={_shown(url)!r}: OTLP over HTTP comes later: write 'kafka://host:9092/otlp_spans' and have the "
            "OpenTelemetry Collector read that topic"
        )
    make = _MAKERS.get(scheme)
    if make is None:
        raise ConfigurationError(f"exporter={_shown(url)!r}: {scheme}: is unknown: write {_EXAMPLES}")
    return make(url, match["rest"])


def _kafka(url: str, rest: str) -> Any:
    location, _, query = rest.partition("#")[0].partition("?")
    if not location.startswith("//"):
        raise ConfigurationError(f"exporter={_shown(url)!r} has no '//': write 'kafka://localhost:9092/otlp_spans'")
    authority, _, path = location[2:].partition("/")
    if "@" in authority:
        raise ConfigurationError(
            "the exporter's URL holds a user before '@': write it as options, "
            "'kafka://host:9092/otlp_spans?security.protocol=SASL_SSL&sasl.mechanism=PLAIN&sasl.username=...'"
            " and '&sasl.password=...'"
        )
    servers = ",".join(_server(url, host) for host in authority.split(","))
    topic = unquote(path.removesuffix("/")) or _TOPIC_DEFAULT
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise ConfigurationError(
            f"exporter={_shown(url)!r}: {topic!r} is no name of a topic: write letters, digits, '.', '_' and '-'"
        )
    options = _options(url, query)
    encoding = options.pop("encoding", "otlp_proto")
    by_trace = _boolean("partition_by_trace", options.pop("partition_by_trace", "false"))
    for name in options:
        if "." not in name:
            raise ConfigurationError(
                f"exporter={_shown(url)!r}: the option {name!r} is unknown: write 'encoding', 'partition_by_trace', or "
                "an option of librdkafka, which has a dot in its name"
            )
    from .kafka import KafkaExporter  # not above: who writes to a file need not wait for librdkafka

    return KafkaExporter(servers, topic, encoding=encoding, partition_by_trace=by_trace, options=options)


def _server(url: str, text: str) -> str:
    match = _HOST.fullmatch(unquote(text.strip()))
    if match is None:
        what = f"{text!r} is no host" if text else "a host is missing"
        raise ConfigurationError(
            f"exporter={_shown(url)!r}: {what}: write 'kafka://host:9092/topic', an IPv6 address as '[::1]:9092'"
        )
    port = int(match["port"] or _PORT)
    if not 0 < port < 65536:
        raise ConfigurationError(f"exporter={_shown(url)!r}: there is no port {port}: write one from 1 to 65535")
    return f"{match['host']}:{port}"


def _options(url: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, sign, value = part.partition("=")
        name, value = unquote(name), unquote(value)
        if not name or not sign:
            raise ConfigurationError(f"exporter={_shown(url)!r}: {part!r} is no option: write 'name=value'")
        if name in options:
            raise ConfigurationError(f"exporter={_shown(url)!r}: the option {name!r} stands twice: write it once")
        options[name] = value
    return options


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ConfigurationError(f"{name}={value!r} is neither true nor false: write {name}=true or {name}=false")
    return _BOOLEANS[value.lower()]


def _file(url: str, rest: str) -> Any:
    if "?" in rest or "#" in rest:
        raise ConfigurationError(f"exporter={url!r}: a file has no options: write '?' in a path as %3F and '#' as %23")
    host, _, path = rest[2:].partition("/") if rest.startswith("//") else ("", "", rest.removeprefix("/"))
    if not rest.startswith("/") or host not in ("", "localhost") or not path or path.endswith("/"):
        raise ConfigurationError(
            f"exporter={url!r} names no file: write three slashes and the whole path, 'file:///var/log/spans.jsonl'"
        )
    return FileExporter("/" + unquote(path))


def _bare(make: Callable[[], Any]) -> Callable[[str, str], Any]:
    def made(url: str, rest: str) -> Any:
        if rest not in ("", "//"):
            scheme = url.strip().partition(":")[0]
            raise ConfigurationError(f"exporter={url!r}: nothing follows {scheme}: here: write '{scheme}:'")
        return make()

    return made


def _shown(url: str) -> str:
    """The URL without what stands for a secret in it: errors land in logs."""
    url = re.sub(r"//[^/@]*@", "//...@", url)
    return re.sub(r"((?:password|secret|token|key|jaas)[^=&]*=)[^&]*", r"\1...", url, flags=re.IGNORECASE)


_MAKERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "kafka": _kafka,
    "file": _file,
    "console": _bare(ConsoleExporter),
    "memory": _bare(MemoryExporter),
    "none": _bare(DiscardExporter),
}
