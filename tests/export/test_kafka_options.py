"""librdkafka's options by URL, by file and by environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mqtrace.config import read
from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.export import from_url
from mqtrace.export.kafka import KafkaExporter
from mqtrace.flow.readers import topic

SECRET = "s3cr3tPa55"


def _options(url: str, **environ: str) -> dict[str, str]:
    exporter = from_url(url, Environment(environ))
    assert isinstance(exporter, KafkaExporter)
    return exporter._options


def test_the_url_wins_over_the_file_and_the_file_over_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text(
        "\ufeff# comment\n! another\n\nsasl.username = file\n sasl.password=a=b#c \nclient.id=file\n"
        "bootstrap.servers=elsewhere:1\nacks=1\n",
        encoding="utf-8",
    )
    options = _options(
        f"kafka://h/t?config={file}&client.id=url",
        MQTRACE_KAFKA_CLIENT_ID="environment",
        MQTRACE_KAFKA_SASL_USERNAME="environment",
        MQTRACE_KAFKA_CLIENT_RACK="environment",
        MQTRACE_KAFKA_PORT="19092",
        MQTRACE_KAFKA_SASL_MECHANISM="  ",
    )
    assert options == {
        "client.rack": "environment",
        "sasl.username": "file",
        "sasl.password": "a=b#c",
        "acks": "1",
        "client.id": "url",
    }


def test_who_reads_the_topic_has_the_same_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "client.properties"
    file.write_text("sasl.username=file\n")
    monkeypatch.setenv("MQTRACE_KAFKA_CLIENT_RACK", "environment")
    target = topic.parse(f"kafka://h/t?config={file}&client.id=url&encoding=otlp_json")
    assert target.settings == {"client.rack": "environment", "sasl.username": "file", "client.id": "url"}
    assert "file" not in repr(topic.parse(f"kafka://h/t?config={file}")).replace(str(file), "")


def test_an_option_of_the_environment_that_is_refused_is_a_warning_and_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = _options(
        "kafka://h/t",
        MQTRACE_KAFKA_NO_SUCH=SECRET,
        MQTRACE_KAFKA_LINGER_MS=SECRET,
        MQTRACE_KAFKA_CLIENT_ID="shop",
        MQTRACE_KAFKA_BOOTSTRAP_SERVERS="elsewhere:1",
    )
    assert options == {"client.id": "shop"}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    for variable, words in (
        ("MQTRACE_KAFKA_NO_SUCH", "unknown"),
        ("MQTRACE_KAFKA_LINGER_MS", "a value"),
        ("MQTRACE_KAFKA_BOOTSTRAP_SERVERS", "into the exporter's URL"),
    ):
        assert [line for line in said if variable in line and words in line], variable
    assert SECRET not in caplog.text


_SASL = {
    "MQTRACE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "MQTRACE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "MQTRACE_KAFKA_SASL_USERNAME": "shop",
    "MQTRACE_KAFKA_SASL_PASSWORD": SECRET,
}


def test_options_of_which_none_holds_without_the_others_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """librdkafka refuses security.protocol=SASL_SSL alone, and together with all but the password."""
    file = tmp_path / "client.properties"
    file.write_text(f"sasl.username=shop\nsasl.password={SECRET}\n")
    wanted = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shop",
        "sasl.password": SECRET,
    }
    assert _options("kafka://h/t", **_SASL) == wanted
    url = f"kafka://h/t?config={file}&security.protocol=SASL_SSL"
    assert _options(url, MQTRACE_KAFKA_SASL_MECHANISM="SCRAM-SHA-512") == wanted
    assert caplog.records == []


def test_beside_them_one_that_is_refused_is_still_the_only_one_left_out(caplog: pytest.LogCaptureFixture) -> None:
    options = _options("kafka://h/t", **_SASL, MQTRACE_KAFKA_LINGER_MS="soon")
    assert options["security.protocol"] == "SASL_SSL"
    assert "linger.ms" not in options
    (line,) = [record.getMessage() for record in caplog.records]
    assert "MQTRACE_KAFKA_LINGER_MS" in line


def test_what_is_missing_beside_them_is_said_by_its_name() -> None:
    del (given := dict(_SASL))["MQTRACE_KAFKA_SASL_USERNAME"]
    with pytest.raises(
        ConfigurationError, match=r"taken together, sasl\.username and sasl\.password must be set"
    ) as caught:
        _options("kafka://h/t", **given | {"MQTRACE_KAFKA_SASL_MECHANISM": "PLAIN"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"sasl.password={SECRET}\n{SECRET}\n", "line 2 of client.properties is not an option"),
        (f"={SECRET}\n", "line 1 of client.properties is not an option"),
        (f"client.id=a\nclient.id={SECRET}\n", "line 2 of client.properties has an option that stands above"),
        (f"client.id=a\n\nno.{SECRET}=b\n", "line 3 of client.properties is unknown"),
        (f"linger.ms={SECRET}\n", "line 1 of client.properties has a value"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * (1 << 21), "larger than"),
        (None, "No such file"),
    ],
)
def test_a_wrong_file_is_an_error_that_shows_nothing_of_it(tmp_path: Path, content: Any, words: str) -> None:
    file = tmp_path / "client.properties"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError) as caught:
        _options(f"kafka://h/t?config={file}")
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_options_that_do_not_go_together_are_an_error_without_their_values() -> None:
    with pytest.raises(ConfigurationError, match="taken together") as caught:
        _options(f"kafka://h/t?security.protocol=ssl&ssl.ca.location=/missing/{SECRET}")
    assert SECRET not in str(caught.value)


def test_the_settings_of_a_tracer_do_not_show_them(tmp_path: Path) -> None:
    environ = {"MQTRACE_EXPORTER": "kafka://h/t", "MQTRACE_KAFKA_SASL_PASSWORD": SECRET}
    settings = read("shop", environ=environ)
    assert settings.exporter._options == {"sasl.password": SECRET}
    assert SECRET not in repr(settings)
