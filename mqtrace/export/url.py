"""Exporters by URL (RFC 3986): which scheme is which transport. What follows the scheme is the transport's matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mqtrace.urls import Url

from . import file, kafka_url
from .console import ConsoleExporter
from .discard import DiscardExporter
from .memory import MemoryExporter

__all__ = ["from_url"]

_EXAMPLES: Final = f"{kafka_url.EXAMPLE}, 'file:///var/log/spans.jsonl', 'console:', 'memory:' or 'none:'"


def from_url(text: str) -> Any:
    """The exporter that a URL names. ConfigurationError: one sentence, what was wrong and what to write instead."""
    url = Url(text, label="exporter=", example=_EXAMPLES)
    make = _MAKERS.get(url.scheme)
    if make is None:
        what = "it is not a URL" if "." in url.scheme else "its scheme is unknown"
        raise url.error(f"{what}: write {_EXAMPLES}")
    return make(url)


def _kafka(url: Url) -> Any:
    target = kafka_url.parse(url)
    from .kafka import KafkaExporter  # not above: who writes to a file need not wait for librdkafka

    return KafkaExporter(
        target.servers,
        target.topic,
        encoding=target.encoding,
        partition_by_trace=target.partition_by_trace,
        options=target.options,
    )


def _http(url: Url) -> Any:
    raise url.error(
        "OTLP over HTTP comes later: write 'kafka://host:9092/otlp_spans' and have the OpenTelemetry Collector read "
        "that topic"
    )


def _bare(make: Callable[[], Any]) -> Callable[[Url], Any]:
    def made(url: Url) -> Any:
        if url.location not in ("", "//") or url.query is not None:
            raise url.error(f"nothing follows {url.scheme}: here: write '{url.scheme}:'")
        return make()

    return made


_MAKERS: Final[Mapping[str, Callable[[Url], Any]]] = {
    "kafka": _kafka,
    "http": _http,
    "https": _http,
    "file": file.from_url,
    "console": _bare(ConsoleExporter),
    "memory": _bare(MemoryExporter),
    "none": _bare(DiscardExporter),
}
