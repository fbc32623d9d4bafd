"""Settings: every argument and every variable, right and wrong.

An argument that cannot work is a ConfigurationError of one sentence that says what to write instead; a variable of the
environment that cannot is one warning, and the default holds.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import mqtrace
from mqtrace import ConfigurationError, sampling
from mqtrace.config import UNKNOWN_SERVICE, Settings, read
from mqtrace.export.batch import BatchSettings
from mqtrace.export.discard import DiscardExporter
from mqtrace.export.file import FileExporter
from mqtrace.export.memory import MemoryExporter
from mqtrace.sampling import Always, Never, ParentBased, Probability, RateLimit, Rule
from mqtrace.tracer import SpanTracer

NONE = {"MQTRACE_EXPORTER": "none:"}


def settings(environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    return read(environ={**NONE, **(environ or {})}, **arguments)


# ---------------------------------------------------------------------- arguments


class Awaited:
    """An exporter whose spans nobody would send: its coroutine is never awaited."""

    async def export(self, spans: Any) -> None:
        pass

    def shutdown(self, timeout: float) -> None:
        pass


class AwaitedAtTheEnd:
    """An exporter that would never be shut down."""

    def export(self, spans: Any) -> None:
        pass

    async def shutdown(self, timeout: float) -> None:
        pass


class AwaitedSampler:
    """A sampler whose answer is a coroutine, which is true: every trace would be recorded."""

    async def sample(self, *about: Any) -> bool:
        return False


class AwaitedPropagator:
    name = "awaited"
    fields = ("x-awaited",)

    def extract(self, carrier: Any, context: Any) -> Any: ...
    async def inject(self, carrier: Any, context: Any) -> None: ...


class WithoutShutdown:
    def export(self, spans: Any) -> None: ...


class Exporter(WithoutShutdown):
    def shutdown(self, timeout: float) -> None: ...


WRONG: list[tuple[str, Any, str]] = [
    ("service", "", "service"),
    ("service", 7, "service"),
    ("service", b"orders", "service"),
    ("sampler", -0.1, "0"),
    ("sampler", 1.1, "1"),
    ("sampler", float("nan"), "0"),
    ("sampler", "10%", "0"),
    ("sampler", object(), "sample"),
    ("sampler", Probability, "sampler"),
    ("sampler", AwaitedSampler(), "def sample("),
    ("exporter", "", "kafka://"),
    ("exporter", "localhost:9092", "kafka://"),
    ("exporter", "kafka:localhost", "//"),
    ("exporter", "kafka://localhost:9092/a b", "topic"),
    ("exporter", "kafka://localhost:0/spans", "port"),
    ("exporter", "kafka://localhost/spans?encoding=xml", "otlp_proto"),
    ("exporter", "kafka://localhost/spans?partition_by_trace=perhaps", "true"),
    ("exporter", "kafka://localhost/spans?linger=5", "option 1 is unknown"),
    ("exporter", "kafka://localhost/spans?no.such.option=5", "option 1 is unknown"),
    ("exporter", "kafka://localhost/spans?bootstrap.servers=elsewhere:9092", "option 1 names hosts"),
    ("exporter", "kafka://localhost/spans?metadata.broker.list=elsewhere:9092", "option 1 names hosts"),
    ("exporter", "rabbit://localhost/spans", "kafka://"),
    ("exporter", "file:spans.jsonl", "file:///"),
    ("exporter", "memory:here", "memory:"),
    ("exporter", 7, "URL"),
    ("exporter", WithoutShutdown(), "shutdown"),
    ("exporter", Awaited(), "def export(spans)"),
    ("exporter", AwaitedAtTheEnd(), "def shutdown(timeout)"),
    ("exporter", Exporter, "export"),
    ("propagators", "w3c", "tracecontext"),
    ("propagators", ["tracecontext", "nope"], "tracecontext"),
    ("propagators", 7, "tracecontext"),
    ("propagators", [AwaitedPropagator()], "def inject"),
    ("resource", "k=v", "mapping"),
    ("resource", {"k": object()}, "k"),
    ("resource", {"": "v"}, "attribute"),
    ("resource", {7: "v"}, "attribute"),
    ("resource", {"service.name": 7}, "service.name"),
    ("relation", "child", "parent"),
    ("relation", None, "parent"),
    ("rules", "orders", "Rule"),
    ("rules", [("orders", 0.1)], "Rule"),
    ("rules", {"orders": 2}, "0"),
    ("rules", {"": 0.5}, "glob"),
    ("rules", 7, "Rule"),
    ("rules", {"orders": AwaitedSampler()}, "def sample("),
    ("receive_spans", "false", "True or False"),
    ("settle_spans", 1, "True or False"),
]


@pytest.mark.parametrize(("argument", "value", "says"), WRONG)
def test_a_wrong_argument_is_one_sentence_that_says_what_to_write(argument: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        mqtrace.Tracer(**{"exporter": "none:", argument: value})
    sentence = str(raised.value)
    assert says in sentence
    assert "\n" not in sentence
    assert ": " in sentence or "write" in sentence, "what was wrong, a colon, what to write"
    assert not sentence.endswith(".")
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    "secret", ["sasl.password=hunter2", "ssl.key.password=hunter2", "encoding=x&sasl.password=hunter2"]
)
def test_no_sentence_tells_a_password(secret: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings(exporter=f"kafka://host:99999/spans?{secret}&nonsense=1")
    assert "hunter2" not in str(raised.value)


def test_a_sentence_says_nothing_of_the_file_it_comes_from() -> None:
    with pytest.raises(TypeError):
        mqtrace.configure(servcie="orders")  # type: ignore[call-arg]  # the typing error is the test


@pytest.mark.parametrize("keyword", ["receive_spans", "settle_spans"])
@pytest.mark.parametrize("value", [True, False])
def test_receive_and_settle_spans_are_asked_for(keyword: str, value: bool) -> None:
    asked: dict[str, Any] = {keyword: value}
    assert getattr(settings(**asked), keyword) is value
    assert getattr(settings(), keyword) is False


def test_a_rate_means_parent_based() -> None:
    assert isinstance(settings(sampler=0.5).sampler, ParentBased)
    assert isinstance(settings(sampler=0).sampler, ParentBased)
    mine = RateLimit(10)
    assert settings(sampler=mine).sampler is mine or settings(sampler=mine).sampler.root is mine


@pytest.mark.parametrize(
    ("url", "kind"),
    [("memory:", MemoryExporter), ("none:", DiscardExporter), ("file:///spans.jsonl", FileExporter)],
)
def test_an_exporter_is_a_url_or_an_object(url: str, kind: type) -> None:
    assert isinstance(settings(exporter=url).exporter, kind)
    mine = Exporter()
    assert settings(exporter=mine).exporter is mine


def test_rules_are_a_sequence_or_a_mapping() -> None:
    (rule,) = settings(rules={"orders.*": "ignore"}).rules
    assert (rule.destination, rule.ignore) == ("orders.*", True)
    mine = Rule("orders", rate=0.1)
    assert settings(rules=[mine]).rules == (mine,)
    assert settings(rules=(one for one in [mine])).rules == (mine,)


def test_a_word_that_is_not_ignore_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match=r"'orders' is 'IGNORE': write .* or 'ignore'"):
        settings(rules={"orders": "IGNORE"})


def test_a_rule_is_for_a_destination_or_for_a_task() -> None:
    ignored, rare, queue = settings(rules={"task:shop.*": "ignore", "task:mail.send": 0.1, "shop.*": 0.5}).rules
    assert (ignored.task, ignored.destination, ignored.ignore) == ("shop.*", None, True)
    assert (rare.task, rare.destination, rare.ignore) == ("mail.send", None, False)
    assert (queue.task, queue.destination) == (None, "shop.*")
    assert repr(Rule(task="shop.*", ignore=True)).startswith("Rule(task='shop.*', ")


def test_a_wrong_argument_is_told_before_an_exporter_is_opened(tmp_path: Path) -> None:
    for wrong in ({"sampler": 2}, {"propagators": "pigeon"}, {"rules": [1]}, {"opentelemetry": "yes"}):
        with pytest.raises(ConfigurationError), warnings.catch_warnings():
            warnings.simplefilter("error")
            settings(exporter=f"file://{tmp_path}/spans.jsonl", **wrong)
        assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- the service and its resource


@pytest.mark.parametrize(
    ("argument", "resource", "variable", "attributes", "name"),
    [
        ("argument", {"service.name": "resource"}, "variable", "service.name=attributes", "argument"),
        (None, {"service.name": "resource"}, "variable", "service.name=attributes", "resource"),
        (None, None, "variable", "service.name=attributes", "variable"),
        (None, None, None, "service.name=attributes", "attributes"),
        (None, None, "", "service.name=attributes", "attributes"),
        (None, None, "  ", None, UNKNOWN_SERVICE),
        (None, {"a": "b"}, None, "a=c", UNKNOWN_SERVICE),
    ],
)
def test_where_the_name_of_the_service_comes_from(
    argument: str | None, resource: Any, variable: str | None, attributes: str | None, name: str
) -> None:
    environ: dict[str, str] = {}
    if variable is not None:
        environ["OTEL_SERVICE_NAME"] = variable
    if attributes is not None:
        environ["OTEL_RESOURCE_ATTRIBUTES"] = attributes
    made = settings(environ, service=argument, resource=resource)
    assert made.service == made.resource["service.name"] == name


def test_a_resource_is_merged_over_the_variables() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": " deployment.environment.name = eu%2Cwest , a=1%3D1,empty=,"}
    made = settings(environ, resource={"a": "mine", "n": 7, "b": True, "l": ["x", "y"]})
    assert made.resource["deployment.environment.name"] == "eu,west"
    assert {key: made.resource[key] for key in ("a", "n", "b", "l", "empty")} == {
        "a": "mine",
        "n": 7,
        "b": True,
        "l": ("x", "y"),
        "empty": "",
    }
    assert made.resource["telemetry.sdk.name"] == "mqtrace"
    assert settings(environ).resource["a"] == "1=1"


@pytest.mark.parametrize("text", ["novalue", "a=1,b", "=v", "a=1,,b=2,c", " =x"])
def test_resource_attributes_that_cannot_be_read_are_one_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    made = settings({"OTEL_RESOURCE_ATTRIBUTES": text, "OTEL_SERVICE_NAME": "orders"})
    assert made.service == "orders"
    assert "a" not in made.resource
    (record,) = caplog.records
    assert "OTEL_RESOURCE_ATTRIBUTES" in record.getMessage()


# ---------------------------------------------------------------------- variables

BATCH = BatchSettings()

NUMBERS: list[tuple[str, str, Any, Any]] = [
    # the variable, what is in it, what it then is, how it is found in the settings
    ("OTEL_BSP_MAX_QUEUE_SIZE", "4096", 4096, lambda made: made.batch.max_queue_size),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "7", 7, lambda made: made.batch.max_batch_size),
    ("OTEL_BSP_SCHEDULE_DELAY", "250", 0.25, lambda made: made.batch.schedule_delay),
    ("OTEL_BSP_EXPORT_TIMEOUT", "1500", 1.5, lambda made: made.batch.export_timeout),
    ("MQTRACE_SIGTERM", "off", False, lambda made: made.batch.sigterm),
    ("MQTRACE_EXIT_TIMEOUT", "1", 0.001, lambda made: made.batch.exit_timeout),
    ("MQTRACE_MAX_QUEUE_BYTES", "1000", 1000, lambda made: made.batch.max_queue_bytes),
    ("MQTRACE_REPORT_TIMEOUT", "90000", 90.0, lambda made: made.report_timeout),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3", 3, lambda made: made.limits.attributes),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "4", 4, lambda made: made.limits.events),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "5", 5, lambda made: made.limits.links),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "8", 8, lambda made: made.limits.event_attributes),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "9", 9, lambda made: made.limits.link_attributes),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "4", 4, lambda made: made.limits.attributes),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7", 7, lambda made: made.limits.value_length),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "6", 6, lambda made: made.limits.value_length),
]


@pytest.mark.parametrize(("variable", "text", "value", "of"), NUMBERS)
def test_numbers_of_the_environment(variable: str, text: str, value: Any, of: Any) -> None:
    default = of(settings())
    assert of(settings({variable: text})) == value
    assert of(settings({variable: f" {text} "})) == value
    assert of(settings({variable: ""})) == default


def test_a_limit_of_spans_goes_before_that_of_everything() -> None:
    limits = settings(
        {
            "OTEL_ATTRIBUTE_COUNT_LIMIT": "4",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "3",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "6",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "7",
        }
    ).limits
    assert (limits.attributes, limits.value_length) == (3, 7)


@pytest.mark.parametrize("text", ["-1", "many", "1.5", "0x10", "²", "\u0661", "1e3", "9" * 400, "9" * 5000])
@pytest.mark.parametrize(("variable", "_text", "_value", "of"), NUMBERS)
def test_a_number_that_is_none_is_one_warning_and_the_default(
    variable: str, _text: str, _value: Any, of: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert of(settings({variable: text})) == of(settings())
    assert [variable in record.getMessage() for record in caplog.records] == [True]
    assert len(caplog.records[0].getMessage()) < 300


@pytest.mark.parametrize("variable", ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"])
def test_a_queue_of_nothing_is_no_queue(variable: str, caplog: pytest.LogCaptureFixture) -> None:
    assert settings({variable: "0"}).batch == BATCH
    assert len(caplog.records) == 1


def test_a_batch_is_never_larger_than_the_queue() -> None:
    made = settings({"OTEL_BSP_MAX_QUEUE_SIZE": "10"}).batch
    assert (made.max_queue_size, made.max_batch_size) == (10, 10)


SAMPLERS: list[tuple[str, str | None, Any]] = [
    ("always_on", None, 1.0),
    ("always_off", None, 0.0),
    ("traceidratio", "0.25", 0.25),
    ("parentbased_always_on", None, 1.0),
    ("parentbased_always_off", None, 0.0),
    ("parentbased_traceidratio", "0.25", 0.25),
    ("PARENTBASED_ALWAYS_OFF", None, 0.0),
    ("traceidratio", None, 1.0),
]


@pytest.mark.parametrize(("name", "argument", "rate"), SAMPLERS)
def test_samplers_of_the_environment(name: str, argument: str | None, rate: float) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name}
    if argument is not None:
        environ["OTEL_TRACES_SAMPLER_ARG"] = argument
    made = settings(environ)
    sampled = f"00-{'a1' * 16}-{'b2' * 8}-01"
    tracer = SpanTracer(made)
    roots = sum(tracer.start_span("root", parent=None).is_recording() for _ in range(1000))
    assert abs(roots - 1000 * rate) < 100
    child = tracer.start_span("child", parent=tracer.extract({"traceparent": sampled}))
    if name.lower().startswith("parentbased_"):
        assert child.is_recording(), "a parent's flag is followed"
    elif rate == 0:
        assert not child.is_recording(), "only the parent-based samplers follow a parent"
    tracer.shutdown()


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_PROPAGATORS": "tracecontext,nope"}, "OTEL_PROPAGATORS"),
        ({"OTEL_SDK_DISABLED": "yes"}, "OTEL_SDK_DISABLED"),
        ({"MQTRACE_EXPORTER": "localhost:9092"}, "MQTRACE_EXPORTER"),
        ({"MQTRACE_EXPORTER": "kafka://localhost/spans?no.such.option=1"}, "MQTRACE_EXPORTER"),
        ({"MQTRACE_EXPORTER": ""}, "MQTRACE_EXPORTER"),
    ],
)
def test_a_wrong_variable_is_one_warning_and_the_default(
    environ: dict[str, str], variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = settings(environ)
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "mqtrace")
    assert variable in record.getMessage()
    assert "\n" not in record.getMessage()
    tracer = SpanTracer(made)
    assert tracer.start_span("root", parent=None).is_recording(), "every trace is recorded by default"
    carrier: dict[str, str] = {}
    tracer.inject(carrier, tracer.start_span("root", parent=None))
    assert "traceparent" in carrier, "W3C's headers are the default"
    assert not made.disabled
    tracer.shutdown()


def test_right_settings_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    settings({"OTEL_PROPAGATORS": "b3,none", "OTEL_SDK_DISABLED": "False", "OTEL_TRACES_SAMPLER": "always_on"})
    assert not caplog.records


def test_an_argument_wins_over_its_variable(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_PROPAGATORS": "nope",
        "MQTRACE_EXPORTER": "nonsense",
        "OTEL_SERVICE_NAME": "variable",
    }
    made = settings(environ, sampler=Never(), propagators="b3", exporter="memory:", service="argument")
    assert made.service == "argument"
    assert isinstance(made.exporter, MemoryExporter)
    assert "b3" in [one.name for one in made.propagator.formats]
    assert not caplog.records, "what is not used is not complained about"
    tracer = SpanTracer(made)
    assert not tracer.start_span("root").is_recording()


@pytest.mark.parametrize("name", ["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "datadog"])
def test_propagators_are_named_as_opentelemetry_names_them(name: str) -> None:
    by_argument = settings(propagators=name).propagator
    by_variable = settings({"OTEL_PROPAGATORS": f" {name.upper()} ,{name}"}).propagator
    assert [type(one) for one in by_argument.formats] == [type(one) for one in by_variable.formats]
    assert len(by_argument.formats) == 1
    assert len(settings(propagators="none").propagator.formats) == 0


@pytest.mark.parametrize("text", ["true", "TRUE", " True "])
def test_disabled_makes_no_span_and_passes_contexts(
    text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", text)
    monkeypatch.delenv("MQTRACE_EXPORTER", raising=False)
    tracer = mqtrace.Tracer("orders", 1.0)
    assert not caplog.records, "that nothing leaves is what was asked for"
    incoming = {"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01", "tracestate": "k=v"}
    outgoing: dict[str, str] = {}
    with tracer.start_span("work", parent=tracer.extract(incoming)) as span:
        assert not span.is_recording()
        tracer.inject(outgoing)
    assert outgoing == incoming
    assert not tracer.start_span("root").is_recording()
    assert tracer.flush()
    assert tracer.shutdown()
    assert tracer.stats()["spans_ended"] == 0


def test_disabled_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert read(exporter="kafka://127.0.0.1:1/spans").exporter is None


def test_disabled_still_tells_a_wrong_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the code shows on a laptop where tracing is off, not in production."""
    with pytest.raises(ConfigurationError):
        read(exporter="nonsense", environ={"OTEL_SDK_DISABLED": "true"})


def test_always_and_never_are_samplers_too() -> None:
    for sampler in (Always(), Never(), sampling.Adaptive(10), ParentBased(0.5)):
        assert settings(sampler=sampler).sampler is not None


def test_an_option_that_nobody_knows_is_a_type_error_that_names_those_there_are() -> None:
    wrong: Any = {"colour": "red"}
    with pytest.raises(TypeError, match="'colour': there are exporter, propagators"):
        mqtrace.Tracer("shop", **wrong)
