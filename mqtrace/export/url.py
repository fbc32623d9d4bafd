"""Exporters by URL (RFC 3986): a scheme names a transport, which parses the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from mqtrace.environment import Environment
from mqtrace.urls import Url

from . import extensions, file, kafka_url
from .console import ConsoleExporter
from .discard import DiscardExporter
from .memory import MemoryExporter

__all__ = ["from_url"]

_EXAMPLES: Final = (
    f"{kafka_url.EXAMPLE}, 'http://localhost:4318', 'otlp:', 'file:///var/log/spans.jsonl', 'console:', 'memory:' or "
    "'none:'"
)


def from_url(text: str, environment: Environment | None = None) -> Any:
    """The exporter that a URL names, configured by the environment where the URL is silent.

    ConfigurationError: one sentence, what was wrong and what to write instead.
    """
    url = Url(text, label="exporter=", example=_EXAMPLES)
    make = _MAKERS.get(url.scheme) or extensions.schemes.get(url.scheme)
    if make is None:
        what = "it is not a URL" if "." in url.scheme else "its scheme is unknown"
        raise url.error(f"{what}: write {_EXAMPLES}")
    return make(url, Environment(os.environ) if environment is None else environment)


def _kafka(url: Url, environment: Environment) -> Any:
    target = kafka_url.parse(url, environment)
    try:
        from . import kafka  # not above: a user of another transport need not have librdkafka
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "confluent_kafka":
            raise
        raise url.error("it needs confluent-kafka, which is missing: run pip install 'mqtrace[kafka]'") from None
    return kafka.from_target(target, url, environment)


def _http(url: Url, environment: Environment) -> Any:
    from . import http, http_url  # not above: http.client takes 20 ms to import, for nothing with another transport

    return http.HttpExporter(http_url.parse(url, environment))


def _otlp(url: Url, environment: Environment) -> Any:
    from . import http, http_url  # as above

    return http.HttpExporter(http_url.parse_otlp(url, environment))


def _zipkin(url: Url, environment: Environment) -> Any:
    from . import http, otlp_environment  # as above

    url.only(())
    return http.HttpExporter(otlp_environment.zipkin_endpoint(environment))


def _file(url: Url, environment: Environment) -> Any:
    return file.from_url(url)


def _bare(make: Callable[[], Any]) -> Callable[[Url, Environment], Any]:
    def make_bare(url: Url, environment: Environment) -> Any:
        if url.location not in ("", "//") or url.query is not None:
            raise url.error(f"nothing follows {url.scheme}: here: write '{url.scheme}:'")
        return make()

    return make_bare


_MAKERS: Final[Mapping[str, Callable[[Url, Environment], Any]]] = {
    "kafka": _kafka,
    "http": _http,
    "https": _http,
    "otlp": _otlp,
    "zipkin": _zipkin,
    "file": _file,
    "console": _bare(ConsoleExporter),
    "memory": _bare(MemoryExporter),
    "none": _bare(DiscardExporter),
}
