"""What of a URL may be shown: nothing before the last @ and nothing after the first ?, whoever says it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mqtrace
from mqtrace.config import read
from mqtrace.errors import ConfigurationError
from mqtrace.flow import SourceError
from mqtrace.flow.readers import topic
from mqtrace.urls import hide, shown

SECRET = "s3cr3tPa55"

_noise = st.text(st.sampled_from("ab/:?@&=#%.,;+ \\[]{}\n'\"é") | st.characters(max_codepoint=0x2FF), max_size=8)
_schemes = st.sampled_from(
    [
        "kafka://",
        "kafka:",
        "http://",
        "https://",
        "file:///tmp/",
        "console:",
        "none://",
        "amqp://",
        "memory:",
        "",
        "x.y://",
    ]
)


@st.composite
def urls_with_a_secret(draw: st.DrawFn) -> str:
    """A URL with the secret before the last @ or after the first ?, in any shape that a typing error may make of it."""
    start = draw(_schemes)
    secret = draw(st.sampled_from([SECRET, f"sasl.password={SECRET}", f"&{SECRET}", f"sasl%2Epassword={SECRET}"]))
    if draw(st.booleans()):
        return (
            f"{start}{draw(_noise)}{secret}{draw(_noise)}{draw(st.sampled_from(['@', '%40']))}host:9092/{draw(_noise)}"
        )
    mark = draw(st.sampled_from(["?", "%3F", "?a.b=c&", "?encoding=otlp_json&", "?partition_by_trace=true&bad="]))
    return f"{start}host:9092/{draw(_noise)}{mark}{secret}{draw(_noise)}"


def _said(call: Callable[[], object]) -> str:
    """The repr of what is returned, or everything that a log may hold of the error."""
    try:
        return repr(call())
    except (ConfigurationError, SourceError) as error:
        return str(error) + repr(error) + "".join(traceback.format_exception(error, limit=0))


@given(urls_with_a_secret())
def test_no_secret_is_shown(url: str) -> None:
    assert SECRET not in shown(url)


@given(urls_with_a_secret())
def test_no_error_of_an_exporter_shows_a_secret(url: str) -> None:
    assert SECRET not in _said(lambda: read("shop", exporter=url, environ={}))


@given(urls_with_a_secret())
def test_no_error_of_a_topic_to_read_shows_a_secret(url: str) -> None:
    assert SECRET not in _said(lambda: topic.SpanTopic(topic.parse(url), from_beginning=True, timeout=0.001).close())


@given(url=urls_with_a_secret())
def test_no_warning_of_the_environment_shows_a_secret(url: str) -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(logging.Formatter().format(record))  # type: ignore[method-assign]
    logging.getLogger("mqtrace").addHandler(handler)
    try:
        read("shop", environ={"MQTRACE_EXPORTER": url.replace("\0", "")})
    finally:
        logging.getLogger("mqtrace").removeHandler(handler)
    assert SECRET not in "".join(said)


def test_nothing_that_a_running_tracer_says_shows_a_secret(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its logs, at every level, while its broker is away; its counts; the repr of it and of what it holds."""
    options = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "client.id": SECRET}
    options |= {"sasl.username": SECRET, "sasl.password": f"a%26{SECRET}"}
    url = "kafka://127.0.0.1:1/spans?" + "&".join(f"{name}={value}" for name, value in options.items())
    with caplog.at_level(logging.DEBUG):
        tracer = mqtrace.Tracer("shop", exporter=url)
        tracer.start_span("order").end()
        assert not tracer.flush(0.5)
        said = [
            repr(one) for one in (tracer, tracer.settings, tracer.settings.exporter, tracer.pipeline, tracer.stats())
        ]
        tracer.shutdown(0.1)
    assert SECRET not in "".join([*said, caplog.text, *capfd.readouterr()])
    assert "127.0.0.1:1" in caplog.text


@pytest.mark.parametrize("exporter", [f"kafka://u:{SECRET}@h".encode(), {"url": SECRET}, [f"kafka://h?{SECRET}"]])
def test_what_is_not_an_exporter_is_named_by_its_type_only(exporter: object) -> None:
    said = _said(lambda: mqtrace.Tracer("shop", exporter=exporter))
    assert SECRET not in said
    assert f"of type {type(exporter).__name__}" in said


def test_the_value_of_an_option_of_ours_is_shown_where_it_cannot_be_part_of_a_password() -> None:
    with pytest.raises(ConfigurationError, match="encoding='morse'"):
        read("shop", exporter="kafka://h/t?encoding=morse", environ={})
    with pytest.raises(ConfigurationError) as caught:
        read("shop", exporter=f"kafka://u?encoding={SECRET}&more@h/t", environ={})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "may_be_shown"),
    [
        ("kafka://host:9092/spans", "kafka://host:9092/spans"),
        ("  kafka://host:9092/spans ", "kafka://host:9092/spans"),
        ("kafka://host/spans?sasl.password=x", "kafka://host/spans?..."),
        ("kafka://host/spans&sasl.password=x", "kafka://host/spans?..."),
        ("kafka://user:a/b@host/spans?x", "kafka://...@host/spans?..."),
        ("kafka://a@b@host", "kafka://...@host"),
        ("kafka://a?b@host", "kafka://...?..."),
        ("secret://a@host", "...@host"),
        ("secret", "secret"),
        ("", ""),
    ],
)
def test_place_and_scheme_are_shown(url: str, may_be_shown: str) -> None:
    assert shown(url) == may_be_shown


def test_a_long_url_is_cut() -> None:
    assert len(shown("kafka://" + "h" * 100_000)) < 300


@pytest.mark.parametrize(
    ("text", "secrets", "left"),
    [
        ("login of bob with hunter2 failed", ["bob", "hunter2"], "login of ... with ... failed"),
        ("bobsleigh", ["bob"], "bobsleigh"),
        ("beginning at: ipal=admin,x", ["principal=admin"], "beginning at: ...,x"),
        ("after 30000ms", ["", "5"], "after 30000ms"),
    ],
)
def test_what_a_library_quotes_of_an_option_is_hidden(text: str, secrets: list[str], left: str) -> None:
    assert hide(text, secrets) == left


@given(st.text(max_size=20), st.text(min_size=6, max_size=20), st.text(max_size=20), st.data())
def test_no_part_of_six_characters_is_left(before: str, secret: str, after: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(secret) - 6))
    assert secret[at : at + 6] not in hide(before + secret + after, [secret]).replace("...", "\0")
