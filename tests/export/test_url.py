"""Exporters by URL: what each says, and the sentence for what cannot be."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.errors import ConfigurationError
from mqtrace.export import from_url
from mqtrace.export.console import ConsoleExporter
from mqtrace.export.discard import DiscardExporter
from mqtrace.export.file import FileExporter
from mqtrace.export.kafka import KafkaExporter
from mqtrace.export.memory import MemoryExporter


@pytest.mark.parametrize(
    ("url", "servers", "topic"),
    [
        ("kafka://localhost:9092/otlp_spans", "localhost:9092", "otlp_spans"),
        ("kafka://localhost", "localhost:9092", "otlp_spans"),
        ("kafka://localhost/", "localhost:9092", "otlp_spans"),
        ("KAFKA://a:1,b,c:3/jaeger-spans", "a:1,b:9092,c:3", "jaeger-spans"),
        ("kafka://[::1]:19092/t", "[::1]:19092", "t"),
        ("kafka://[fe80::1]/t", "[fe80::1]:9092", "t"),
        ("kafka://h/a%2Eb", "h:9092", "a.b"),
        ("  kafka://h/t  ", "h:9092", "t"),
    ],
)
def test_a_kafka_url_says_servers_and_topic(url: str, servers: str, topic: str) -> None:
    exporter = from_url(url)
    assert isinstance(exporter, KafkaExporter)
    assert (exporter.servers, exporter.topic) == (servers, topic)


def test_options_of_a_kafka_url() -> None:
    exporter = from_url("kafka://h/t?encoding=zipkin_json&partition_by_trace=true&client.id=a%20b&linger.ms=7")
    assert exporter._by_trace
    assert exporter._options == {"client.id": "a b", "linger.ms": "7"}


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("console:", ConsoleExporter),
        ("memory:", MemoryExporter),
        ("none:", DiscardExporter),
        ("none://", DiscardExporter),
        ("file:///var/spans.jsonl", FileExporter),
    ],
)
def test_the_others(url: str, kind: type[Any]) -> None:
    assert isinstance(from_url(url), kind)


def test_a_path_is_percent_decoded() -> None:
    assert from_url("file:///var/a%20b%3F.jsonl").path == "/var/a b?.jsonl"
    assert from_url("file://localhost/x").path == "/x"


@pytest.mark.parametrize(
    ("url", "wrong", "instead"),
    [
        ("", "is not a URL", "kafka://localhost:9092/otlp_spans"),
        ("otlp_spans", "is not a URL", "kafka://localhost:9092/otlp_spans"),
        ("localhost:9092", "scheme is unknown", "kafka://localhost:9092/otlp_spans"),
        ("broker.internal:9092/spans", "is not a URL", "kafka://"),
        ("amqp://h/q", "amqp://h/q", "kafka://"),
        ("kafka:h/t", "has no '//'", "kafka://"),
        ("kafka:///t", "a host is missing", "kafka://host:9092"),
        ("kafka://a,,b/t", "a host is missing", "kafka://host:9092"),
        ("kafka://::1/t", "is not a host", "[::1]"),
        ("kafka://h:99999/t", "port is out of range", "65535"),
        ("kafka://h:0/t", "port is out of range", "65535"),
        ("kafka://h:x/t", "is not a host", "host:9092"),
        ("kafka://user:secret@h/t", "a user before '@'", "sasl.username"),
        ("kafka://h/a/b", "not the name of a topic", "letters"),
        ("kafka://h/t?encoding=xml", "encoding='xml'", "otlp_proto"),
        ("kafka://h/t?partition_by_trace=maybe", "'maybe'", "partition_by_trace=true"),
        ("kafka://h/t?linger.ms=1&acks=all", "option 2 is unknown", "a dot in its name"),
        ("kafka://h/t?linger.ms=1&linger.ms=2", "position 2 stands twice", "once"),
        ("kafka://h/t?encoding=zipkin_json&encoding=otlp_json", "'encoding' stands twice", "once"),
        ("kafka://h/t?linger.ms", "option 1 is not one", "name=value"),
        ("kafka://h/t?sasl.password=a#b", "'#'", "%23"),
        ("kafka://h/t?linger.ms=1&no.such=1", "option 2 is unknown", "CONFIGURATION.md"),
        ("kafka://h/t?linger.ms=soon", "option 1 has a value", "CONFIGURATION.md"),
        ("file://host/x", "does not name a file", "file:///"),
        ("file:x", "does not name a file", "file:///"),
        ("file:///", "does not name a file", "file:///"),
        ("file:///x?y=z", "option 1 is unknown", "encoding="),
        ("file:///x?encoding=morse", "encoding='morse'", "otlp_json"),
        ("file:///missing/folder/spans.jsonl", "does not exist", "make it"),
        ("file:///tmp", "is a folder", "path of a file"),
        ("file:///proc/version", "cannot be written", "rights"),
        ("file:///a%00b", "NUL", "file:///"),
        ("memory:5", "nothing follows", "memory:"),
        ("console:?x", "nothing follows", "console:"),
    ],
)
def test_a_wrong_url_is_one_sentence_that_says_what_to_write(url: str, wrong: str, instead: str) -> None:
    if url == "file:///proc/version" and os.access("/proc/version", os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(ConfigurationError) as caught:
        from_url(url)
    sentence = str(caught.value)
    assert wrong in sentence
    assert instead in sentence
    assert "\n" not in sentence


def test_no_error_repeats_a_secret() -> None:
    for url in ("kafka://user:hunter2@h/t", "kafka://h/a/b?sasl.password=hunter2", "amqp://user:hunter2@h/q"):
        with pytest.raises(ConfigurationError) as caught:
            from_url(url)
        assert "hunter2" not in str(caught.value)


@given(st.one_of(st.text(), st.text().map("kafka://{}".format), st.text().map("kafka://h/t?{}".format)))
def test_any_text_is_an_exporter_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        from_url(text)
