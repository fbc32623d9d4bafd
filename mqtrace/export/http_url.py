"""The URLs of HTTP receivers: ``http[s]://host[:port][/path][?encoding=...&compression=gzip|none]`` and ``otlp:``."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from mqtrace.environment import Environment
from mqtrace.urls import Url

from . import otlp_environment
from .encodings import ENCODINGS
from .http_target import HttpTarget, is_path, split_authority

__all__ = ["parse", "parse_otlp"]

_OPTIONS: Final = ("encoding", "compression")
_COMPRESSIONS: Final = ("gzip", "none")


def parse(url: Url, environment: Environment) -> HttpTarget:
    """The receiver that the URL names; OTEL_EXPORTER_OTLP_* fill what it leaves open."""
    authority, slash, path = url.location.removeprefix("//").partition("/")
    if not url.location.startswith("//"):
        raise url.error("it has no '//': write 'http://localhost:4318'")
    if "@" in unquote(authority):
        raise url.error(
            "it holds a user and a password: write them as a header, "
            "OTEL_EXPORTER_OTLP_HEADERS='authorization=Basic%20...'"
        )
    place = split_authority(url.scheme, authority)
    if place is None:
        raise url.error("its host or port is wrong: write 'http://localhost:4318', an IPv6 address as '[::1]:4318'")
    settings = otlp_environment.read(environment)
    encoding, compress = _options(url, settings)
    path = slash + path
    if path in ("", "/"):
        path = "/api/v2/spans" if encoding == "zipkin_json" else "/v1/traces"
    if not is_path(path):
        raise url.error("its path has a character that a URL cannot hold: write it percent-encoded")
    return otlp_environment.with_settings(url.scheme, *place, path, settings, encoding=encoding, compress=compress)


def parse_otlp(url: Url, environment: Environment) -> HttpTarget:
    """``otlp:``: the receiver that OTEL_EXPORTER_OTLP_* name."""
    if url.location not in ("", "//"):
        raise url.error("nothing follows otlp: here: write 'otlp:', or 'http://host:4318' for a receiver's address")
    settings = otlp_environment.read(environment)
    encoding, compress = _options(url, settings)
    return otlp_environment.endpoint(environment, settings, encoding=encoding, compress=compress)


def _options(url: Url, settings: otlp_environment.OtlpSettings) -> tuple[str, bool]:
    options = url.only(_OPTIONS)
    encoding = url.choice(options, "encoding", ENCODINGS, settings.encoding)
    compression = url.choice(options, "compression", _COMPRESSIONS, "gzip" if settings.compress else "none")
    return encoding, compression == "gzip"
