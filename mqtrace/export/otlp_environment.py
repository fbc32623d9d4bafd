"""OTEL_EXPORTER_OTLP_[TRACES_]*: OpenTelemetry's "OTLP Exporter Configuration". A variable of traces only wins.

An invalid variable is one warning, and the default holds. If the default would send spans elsewhere than was meant, or
without the certificate that was asked for, it is a ConfigurationError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.urls import shown

from .http_target import HttpTarget, check_files, check_headers, is_path, split_authority

__all__ = ["OtlpSettings", "endpoint", "read", "with_settings", "zipkin_endpoint"]

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_PROTOCOLS: Final = {"http/protobuf": "otlp_proto", "http/json": "otlp_json"}
_DEFAULT_ENDPOINT: Final = "http://localhost:4318/v1/traces"
_ENDPOINT: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?", re.I)
_TRACES_PATH: Final = "/v1/traces"
# Headers that the transport writes itself.
_RESERVED: Final = frozenset(("content-type", "content-encoding", "content-length", "transfer-encoding", "connection"))


@dataclass(frozen=True)
class OtlpSettings:
    """The settings of the variables, without the endpoint."""

    encoding: str = "otlp_proto"
    compress: bool = True
    timeout_s: float = 10.0
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


def read(environment: Environment) -> OtlpSettings:
    """The settings. ConfigurationError for a certificate's file that cannot be read."""
    certificate, client_certificate, client_key = (
        _setting(environment, name)[1] for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    )
    check_files(
        {
            f"{_PREFIX}CERTIFICATE": certificate,
            f"{_PREFIX}CLIENT_CERTIFICATE": client_certificate,
            f"{_PREFIX}CLIENT_KEY": client_key,
        }
    )
    if client_key is not None and client_certificate is None:
        raise ConfigurationError(f"{_PREFIX}CLIENT_KEY is set alone: set {_PREFIX}CLIENT_CERTIFICATE too")
    timeout_name, _ = _setting(environment, "TIMEOUT")
    return OtlpSettings(
        encoding=_encoding(environment),
        compress=_compress(environment),
        timeout_s=environment.number(timeout_name, 10_000, 1) / 1000,
        headers=_headers(environment),
        certificate=certificate,
        client_certificate=client_certificate,
        client_key=client_key,
    )


def endpoint(environment: Environment, settings: OtlpSettings, *, encoding: str, compress: bool) -> HttpTarget:
    """The receiver that the variables name; http://localhost:4318/v1/traces if they name none."""
    name, text = _setting(environment, "ENDPOINT")
    target = _target(name, text, append=_TRACES_PATH if name == f"{_PREFIX}ENDPOINT" else "") if text else None
    if text and target is None:
        environment.warn(
            f"{name}={shown(text)!r} is not a URL of a receiver, 'http://host:4318': {_DEFAULT_ENDPOINT} is used"
        )
    scheme, host, port, path = target or ("http", "localhost", 4318, _TRACES_PATH)
    return with_settings(scheme, host, port, path, settings, encoding=encoding, compress=compress)


def zipkin_endpoint(environment: Environment) -> HttpTarget:
    """The receiver that OTEL_EXPORTER_ZIPKIN_ENDPOINT names; http://localhost:9411/api/v2/spans if it names none."""
    name = "OTEL_EXPORTER_ZIPKIN_ENDPOINT"
    text = environment.text(name)
    target = _target(name, text, append="") if text else None
    if text and target is None:
        environment.warn(f"{name}={shown(text)!r} is not a URL: http://localhost:9411/api/v2/spans is used")
    scheme, host, port, path = target or ("http", "localhost", 9411, "/api/v2/spans")
    timeout_s = environment.number("OTEL_EXPORTER_ZIPKIN_TIMEOUT", 10_000, 1) / 1000
    return HttpTarget(scheme, host, port, path, encoding="zipkin_json", timeout_s=timeout_s)


def with_settings(
    scheme: str, host: str, port: int, path: str, settings: OtlpSettings, *, encoding: str, compress: bool
) -> HttpTarget:
    """A target with the settings of the variables.

    Headers are OTLP's, mostly a key of its receiver: a receiver of another protocol does not get them.
    """
    return HttpTarget(
        scheme,
        host,
        port,
        path,
        encoding=encoding,
        compress=compress,
        timeout_s=settings.timeout_s,
        headers=settings.headers if encoding != "zipkin_json" else {},
        certificate=settings.certificate,
        client_certificate=settings.client_certificate,
        client_key=settings.client_key,
    )


def _setting(environment: Environment, name: str) -> tuple[str, str | None]:
    """The variable that has the setting, and its value; None if no variable has it."""
    for variable in (f"{_PREFIX}TRACES_{name}", f"{_PREFIX}{name}"):
        value = environment.text(variable)
        if value is not None:
            return variable, value
    return f"{_PREFIX}{name}", None


def _word(environment: Environment, name: str) -> tuple[str, str | None]:
    """As :func:`_setting`, of an enumeration."""
    variable, _ = _setting(environment, name)
    return variable, environment.word(variable)


def _target(name: str, text: str, *, append: str) -> tuple[str, str, int, str] | None:
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        return None
    if "@" in unquote(match["authority"]):
        raise ConfigurationError(
            f"{name}={shown(text)!r} holds a user and a password: write them as a header, "
            "OTEL_EXPORTER_OTLP_HEADERS='authorization=Basic%20...'"
        )
    scheme = match["scheme"].lower()
    place = split_authority(scheme, match["authority"])
    path = (match["path"].rstrip("/") + append if append else match["path"] or "/") + (match["query"] or "")
    return (scheme, *place, path) if place is not None and is_path(path) else None


def _encoding(environment: Environment) -> str:
    name, value = _word(environment, "PROTOCOL")
    if value == "grpc":
        environment.warn(
            f"{name}=grpc is not built in, http/protobuf is used: set it to http/protobuf, and the endpoint to the "
            "receiver's port for it, 4318 mostly"
        )
    elif value is not None and value not in _PROTOCOLS:
        environment.warn(f"{name}={value[:40]!r} is neither http/protobuf nor http/json: http/protobuf is used")
    return _PROTOCOLS.get(value or "", "otlp_proto")


def _compress(environment: Environment) -> bool:
    name, value = _word(environment, "COMPRESSION")
    if value not in (None, "gzip", "none"):
        environment.warn(f"{name}={(value or '')[:40]!r} is neither gzip nor none: gzip is used")
    return value != "none"


def _headers(environment: Environment) -> dict[str, str]:
    """key=value,key=value, values percent-encoded ("Specifying headers via environment variables")."""
    name, text = _setting(environment, "HEADERS")
    if text is None:
        return {}
    headers: dict[str, str] = {}
    for member in text.split(","):
        key, sign, value = member.partition("=")
        if not member.strip():
            continue
        headers[unquote(key.strip()).lower()] = unquote(value.strip()) if sign else "\n"
    try:
        check_headers(headers)
    except ConfigurationError:
        # its values are secrets, so it is not shown
        environment.warn(f"{name} is not key=value,key=value with percent-encoded values: it is ignored")
        return {}
    return {key: value for key, value in headers.items() if key not in _RESERVED}
