"""OTEL_EXPORTER_OTLP_[TRACES_]* and OTEL_TRACES_EXPORTER: OpenTelemetry's "OTLP Exporter Configuration"."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.config import read
from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.export import from_url
from mqtrace.export.console import ConsoleExporter
from mqtrace.export.discard import DiscardExporter
from mqtrace.export.http_target import HttpTarget
from mqtrace.export.kafka import KafkaExporter

_PREFIX = "OTEL_EXPORTER_OTLP_"
SECRET = "s3cr3tPa55"


def _target(url: str = "otlp:", **variables: str) -> HttpTarget:
    environ = {f"{_PREFIX}{name}": value for name, value in variables.items()}
    target = from_url(url, Environment(environ)).target
    assert isinstance(target, HttpTarget)
    return target


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({"ENDPOINT": "http://h:1"}, "http://h:1/v1/traces"),
        ({"ENDPOINT": "https://h/"}, "https://h:443/v1/traces"),
        ({"ENDPOINT": "https://h/otlp"}, "https://h:443/otlp/v1/traces"),
        ({"ENDPOINT": "http://h:1", "TRACES_ENDPOINT": "http://t:2/spans"}, "http://t:2/spans"),
        ({"TRACES_ENDPOINT": "http://t:2"}, "http://t:2/"),
        ({"TRACES_ENDPOINT": "HTTP://[::1]:2/x"}, "http://[::1]:2/x"),
    ],
)
def test_the_endpoint_of_traces_is_used_as_it_is_and_the_general_one_gains_a_path(
    variables: dict[str, str], address: str
) -> None:
    assert _target(**variables).shown == address


def test_a_url_wins_over_the_environment() -> None:
    target = _target(
        "http://h:1/p?encoding=otlp_proto&compression=gzip",
        ENDPOINT="http://other:2",
        PROTOCOL="http/json",
        COMPRESSION="none",
    )
    assert (target.shown, target.encoding, target.compress) == ("http://h:1/p", "otlp_proto", True)


def test_what_the_url_leaves_open_the_environment_says() -> None:
    target = _target("http://h:1", PROTOCOL="http/json", COMPRESSION="none", TIMEOUT="5000", TRACES_TIMEOUT="7000")
    assert (target.encoding, target.compress, target.timeout_s) == ("otlp_json", False, 7.0)
    assert _target().timeout_s == 10.0


def test_headers_of_otlp_are_not_sent_to_a_receiver_of_another_protocol() -> None:
    headers = "api-key=secret"
    assert _target("http://h:1", HEADERS=headers).headers == {"api-key": "secret"}
    assert _target("http://h:1?encoding=zipkin_json", HEADERS=headers).headers == {}


def test_a_value_of_an_enumeration_may_be_written_in_any_case() -> None:
    target = _target("http://h:1", PROTOCOL="HTTP/JSON", COMPRESSION="None")
    assert (target.encoding, target.compress) == ("otlp_json", False)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PROTOCOL": "grpc"}, "set it to http/protobuf"),
        ({"TRACES_PROTOCOL": "carrier-pigeon"}, "http/json"),
        ({"COMPRESSION": "zip"}, "gzip is used"),
        ({"TIMEOUT": "soon"}, "10000 is used"),
        ({"TIMEOUT": "0"}, "10000 is used"),
        ({"ENDPOINT": "localhost:4317"}, "http://localhost:4318/v1/traces is used"),
        ({"ENDPOINT": "http://h:99999"}, "http://localhost:4318/v1/traces is used"),
        ({"TRACES_ENDPOINT": "ftp://h/x"}, "http://localhost:4318/v1/traces is used"),
        ({"HEADERS": f"no-sign-{SECRET}"}, "it is ignored"),
        ({"HEADERS": f"a=b%0D%0AEvil:{SECRET}"}, "it is ignored"),
        ({"HEADERS": f"a b={SECRET}"}, "it is ignored"),
    ],
)
def test_a_wrong_variable_is_one_warning_and_the_default_holds(
    variables: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    target = _target(**variables)
    (record,) = caplog.records
    (name,) = variables
    assert f"{_PREFIX}{name}" in record.getMessage()
    assert words in record.getMessage()
    assert SECRET not in record.getMessage()
    assert (target.shown, target.encoding, target.headers) == ("http://localhost:4318/v1/traces", "otlp_proto", {})


@pytest.mark.parametrize(
    ("url", "variables", "instead"),
    [
        (f"http://user:{SECRET}@h:1", {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        (f"http://user%3A{SECRET}%40h:1", {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ("otlp:", {"ENDPOINT": f"http://user:{SECRET}@h:1"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http:h", {}, "http://localhost:4318"),
        ("http://", {}, "http://localhost:4318"),
        ("http://h:x", {}, "http://localhost:4318"),
        ("http://h:0", {}, "http://localhost:4318"),
        ("http://::1:4318", {}, "[::1]:4318"),
        ("http://h/a b", {}, "percent-encoded"),
        (f"http://h/?{SECRET}=x", {}, "encoding"),
        ("http://h/?encoding=morse", {}, "zipkin_json"),
        ("http://h/?compression=zip", {}, "none"),
        ("otlp://h:4318", {}, "http://host:4318"),
        ("otlp:?no=1", {}, "encoding"),
        ("https://h", {"CERTIFICATE": "/missing/ca.pem"}, "PEM file"),
    ],
)
def test_what_would_send_spans_elsewhere_is_a_configuration_error(
    url: str, variables: dict[str, str], instead: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _target(url, **variables)
    assert instead in str(caught.value)
    assert SECRET not in str(caught.value)


_EXPORTERS: list[tuple[dict[str, str], Any]] = [
    ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"),
    ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1"}, "http://h:1/v1/traces"),
    ({"OTEL_TRACES_EXPORTER": "zipkin"}, "http://localhost:9411/api/v2/spans"),
    ({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://z:1/api"}, "http://z:1/api"),
    ({"OTEL_TRACES_EXPORTER": "Console"}, ConsoleExporter),
    ({"OTEL_TRACES_EXPORTER": "console"}, ConsoleExporter),
    ({"OTEL_TRACES_EXPORTER": "kafka"}, KafkaExporter),
    ({"OTEL_TRACES_EXPORTER": "none"}, DiscardExporter),
    ({"OTEL_TRACES_EXPORTER": "none", "MQTRACE_EXPORTER": "console:"}, ConsoleExporter),
]


@pytest.mark.parametrize(("environ", "expected"), _EXPORTERS)
def test_opentelemetrys_names_of_exporters_hold_where_there_is_no_url(
    environ: dict[str, str], expected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = read("shop", environ=environ).exporter
    if isinstance(expected, str):
        assert exporter.target.shown == expected
    else:
        assert isinstance(exporter, expected)
    if expected is KafkaExporter:
        assert (exporter.servers, exporter.topic) == ("localhost:9092", "otlp_spans")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "nothing leaves"),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, "the first of them is used: otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/missing"}, "nothing leaves"),
        ({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "z:1"}, "localhost:9411"),
        ({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_ZIPKIN_ENDPOINT": f"http://u:{SECRET}@z"}, "nothing leaves"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_warning(
    environ: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    read("shop", environ=environ)
    (record,) = caplog.records
    assert words in record.getMessage()
    assert SECRET not in record.getMessage()


@given(
    st.dictionaries(
        st.sampled_from(["ENDPOINT", "HEADERS", "TIMEOUT", "COMPRESSION", "PROTOCOL"]), st.text(max_size=30)
    )
)
def test_no_value_of_a_variable_is_an_error_but_a_users_name(variables: dict[str, str]) -> None:
    try:
        _target(**variables)
    except ConfigurationError as error:
        assert "holds a user" in str(error)  # noqa: PT017  # nearly no text raises
