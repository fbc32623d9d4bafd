"""Spans to a real Kafka that wants passwords and certificates: SASL and TLS, said in the three places for them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import mqtrace
import mqtrace.otel
from mqtrace.flow.readers.topic import SpanTopic, parse
from mqtrace.flow.trouble import SourceError

from .secure_kafka import PASSWORD, SecureKafka

PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
Say = Callable[[str, str, dict[str, str]], str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """``say(where, url, options)``: the URL, with the options said in the URL, in a file or in the environment."""

    def said(where: str, url: str, options: dict[str, str]) -> str:
        if where == "URL":
            return f"{url}?{urlencode(options, quote_via=quote)}"
        if where == "file":
            file = tmp_path / "client.properties"
            file.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
            return f"{url}?config={file}"
        for name, value in options.items():
            monkeypatch.setenv(f"MQTRACE_KAFKA_{name.upper().replace('.', '_')}", value)
        return url

    return said


@pytest.mark.parametrize("where", ["URL", "file", "environment"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_spans_arrive(secure_kafka: SecureKafka, exported: Any, say: Say, protocol: str, where: str) -> None:
    topic = secure_kafka.make_topic()
    url = say(where, f"kafka://{secure_kafka.addresses[protocol]}/{topic}", secure_kafka.options[protocol])
    tracer = mqtrace.Tracer("shop", 1.0, exporter=url)
    for _ in range(150):
        tracer.start_span("work", parent=None).end()
    assert tracer.shutdown(20)
    assert tracer.stats()["spans_exported"] == 150
    assert len(exported(secure_kafka.bootstrap, topic, 150)) == 150
    assert PASSWORD not in repr(tracer)


@pytest.mark.parametrize(
    ("protocol", "where"), [("SASL_PLAINTEXT", "environment"), ("SASL_SSL", "URL"), ("SSL", "file")]
)
def test_opentelemetrys_sdk_sends_its_spans_there_and_they_are_read_from_there(
    secure_kafka: SecureKafka, say: Say, protocol: str, where: str
) -> None:
    topic = secure_kafka.make_topic()
    url = say(where, f"kafka://{secure_kafka.addresses[protocol]}/{topic}", secure_kafka.options[protocol])
    provider = TracerProvider(resource=Resource({"service.name": "theirs"}))
    provider.add_span_processor(SimpleSpanProcessor(mqtrace.otel.KafkaSpanExporter(url)))
    provider.get_tracer("theirs").start_span("work").end()
    provider.shutdown()
    reader = SpanTopic(parse(url), from_beginning=True, timeout=20.0)
    deadline = time.monotonic() + 20
    while not (messages := list(reader.read(0.2))):
        assert time.monotonic() < deadline, "nothing is on the topic"
    reader.close()
    assert len(messages) == 1


# ---------------------------------------------------------------------- what is wrong


def _wrong(secure: SecureKafka, certificates: Path, what: str) -> tuple[str, dict[str, str]]:
    """(protocol, options) where one thing is not right."""
    wrong_password = {"sasl.password": f"not {PASSWORD}"}
    protocol, changes = {
        "password of PLAIN": ("SASL_PLAINTEXT", wrong_password),
        "password of SCRAM": ("SASL_SSL", wrong_password),
        "authority": ("SASL_SSL", {"ssl.ca.location": str(certificates / "other.pem")}),
        "no client certificate": ("SSL", {"ssl.certificate.location": "", "ssl.key.location": ""}),
        "no TLS": ("SSL", {"security.protocol": "PLAINTEXT"}),
    }[what]
    options = {**secure.options[protocol], **changes}
    return protocol, {name: value for name, value in options.items() if value}


@pytest.mark.parametrize(
    ("what", "where", "words"),
    [
        ("password of PLAIN", "URL", "Authentication failed"),
        ("password of SCRAM", "environment", "Authentication failed"),
        ("authority", "file", "certificate verify failed"),
        ("no client certificate", "URL", "brokers are down, ssl://"),
        ("no TLS", "file", "do they want another security.protocol?"),
    ],
)
def test_what_is_wrong_is_said_once_without_the_secret_counted_and_bounded(
    secure_kafka: SecureKafka,
    certificates: Path,
    say: Say,
    what: str,
    where: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    protocol, options = _wrong(secure_kafka, certificates, what)
    url = say(where, f"kafka://{secure_kafka.addresses[protocol]}/{secure_kafka.make_topic()}", options)
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "1000")
    tracer = mqtrace.Tracer("shop", 1.0, exporter=url)
    began = time.monotonic()
    for _ in range(150):
        tracer.start_span("work", parent=None).end()
    assert not tracer.flush(10)
    assert 0.9 < time.monotonic() - began < 5
    assert {why: count for why, count in tracer.stats()["spans_dropped"].items() if count} == {"export_failed": 150}
    tracer.shutdown(1)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert secure_kafka.addresses[protocol] in line
    assert words in line
    assert PASSWORD not in caplog.text + capfd.readouterr().err


def test_who_reads_the_topic_is_told_that_the_password_is_wrong(
    secure_kafka: SecureKafka, certificates: Path, say: Say
) -> None:
    protocol, options = _wrong(secure_kafka, certificates, "password of SCRAM")
    url = say("URL", f"kafka://{secure_kafka.addresses[protocol]}/otlp_spans", options)
    with pytest.raises(SourceError, match=r"does not let this program in, .*Authentication failed") as caught:
        SpanTopic(parse(url), from_beginning=True, timeout=2.0)
    assert PASSWORD not in str(caught.value)
