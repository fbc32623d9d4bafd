"""The settings of a tracer, from arguments and the environment.

An argument wins over the environment. A wrong argument is a :class:`ConfigurationError` at start-up; a wrong variable
of the environment is one warning, and the default holds (OpenTelemetry, "Environment Variable Specification").
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import unquote

from . import export, propagation, sampling
from .core import Attribute, Limits, Relation, clean
from .environment import Environment
from .errors import ConfigurationError
from .export.batch import BatchSettings
from .propagation import Composite
from .sampling import Rule
from .version import VERSION

__all__ = ["Options", "Settings", "is_disabled", "names_options", "read"]

UNKNOWN_SERVICE: Final = "unknown_service:python"
DEFAULT_PROPAGATORS: Final = "tracecontext,baggage"
F = TypeVar("F", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """The options of ``configure`` and ``Tracer`` beside service and sampler; ``configure`` says what each is."""

    exporter: object
    propagators: object
    resource: Mapping[str, object] | None
    relation: str
    rules: object
    receive_spans: bool
    settle_spans: bool
    opentelemetry: bool | None


_DEFAULTS: Final = {"relation": "parent", "rules": (), "receive_spans": False, "settle_spans": False}


def names_options(function: F) -> F:
    """Have ``help`` and ``inspect.signature`` list the options: a decorator of functions that take ``**options``."""
    original = inspect.signature(function)
    named_parameters = [one for one in original.parameters.values() if one.kind is not one.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=annotation)
        for name, annotation in inspect.get_annotations(Options).items()
    ]
    signature = original.replace(parameters=[*named_parameters, *options])
    setattr(function, "__signature__", signature)  # noqa: B010  # a function has none, to the type checkers
    return function


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one tracer; docs/configuration.md says what each means."""

    service: str = UNKNOWN_SERVICE
    resource: Mapping[str, Attribute] = field(default_factory=dict)
    sampler: Any = None
    #: None: nothing leaves.
    exporter: Any = None
    propagator: Composite = field(default_factory=lambda: propagation.from_names(DEFAULT_PROPAGATORS))
    relation: Relation = "parent"
    rules: tuple[Rule, ...] = ()
    limits: Limits = field(default_factory=Limits)
    batch: BatchSettings = field(default_factory=BatchSettings)
    receive_spans: bool = False
    settle_spans: bool = False
    #: Whether the current span is shared with OpenTelemetry; None: as soon as the process imports opentelemetry.
    opentelemetry: bool | None = None
    #: Seconds after which a send span ends without its delivery report, for which the user may never poll.
    report_timeout: float = 60.0
    #: Whether contexts are passed on only, and no span is made: OTEL_SDK_DISABLED, or not configured yet.
    disabled: bool = False


def is_disabled() -> bool:
    """Whether the environment turns tracing off."""
    return Environment(os.environ).flag("OTEL_SDK_DISABLED")


def read(
    service: str | None = None,
    sampler: object = None,
    *,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> Settings:
    """Settings from the arguments of ``configure``, and from the environment for what they leave open."""
    for name in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}: there are {', '.join(Options.__annotations__)}")
    relation = options.get("relation", "parent")
    exporter = options.get("exporter")
    environment = Environment(os.environ if environ is None else environ)
    if service is not None and (not isinstance(service, str) or not service):
        raise ConfigurationError(
            f"service={service!r} is not a name: write the service's name as text, for example 'order-service'"
        )
    if relation not in ("parent", "link"):
        raise ConfigurationError(f"relation={relation!r} is unknown: write 'parent' or 'link'")
    attributes = _resource(service, options.get("resource"), environment)
    name = str(attributes["service.name"])
    disabled = environment.flag("OTEL_SDK_DISABLED")
    root_sampler = _sampler(sampler, environment)
    propagator = _propagator(options.get("propagators"), environment)
    rules = sampling.rules.from_argument(options.get("rules", ()))
    opentelemetry = _joined(options.get("opentelemetry"), environment)
    # last, since it may open a client; a wrong one is an error also if nothing will leave
    chosen_exporter = _exporter(exporter, environment) if exporter is not None or not disabled else None
    return Settings(
        service=name,
        resource=attributes,
        sampler=root_sampler,
        exporter=None if disabled else chosen_exporter,
        propagator=propagator,
        relation=relation,  # type: ignore[arg-type]  # one of the two, by the check above
        rules=rules,
        limits=Limits(
            # of spans, or else of everything that has attributes (SDK environment variables, "Attribute Limits")
            attributes=environment.number(
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", environment.number("OTEL_ATTRIBUTE_COUNT_LIMIT", 128)
            ),
            events=environment.number("OTEL_SPAN_EVENT_COUNT_LIMIT", 128),
            links=environment.number("OTEL_SPAN_LINK_COUNT_LIMIT", 128),
            event_attributes=environment.number("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 128),
            link_attributes=environment.number("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 128),
            value_length=environment.number(
                "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", environment.number("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", None)
            ),
        ),
        batch=_batch(environment),
        receive_spans=_switch(options, "receive_spans"),
        settle_spans=_switch(options, "settle_spans"),
        opentelemetry=opentelemetry,
        report_timeout=environment.number("MQTRACE_REPORT_TIMEOUT", 60_000) / 1000,
        disabled=disabled,
    )


def _resource(
    service: str | None, resource: Mapping[str, object] | None, environment: Environment
) -> dict[str, Attribute]:
    merged: dict[str, Attribute] = {
        "telemetry.sdk.name": "mqtrace",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": VERSION,
    }
    text = environment.text("OTEL_RESOURCE_ATTRIBUTES")
    if text is not None:
        # Resource SDK specification: "key1=value1,key2=value2", percent-encoded; any error discards the whole value.
        pairs = [member.partition("=") for member in text.split(",") if member.strip()]
        if all(sign and key.strip() for key, sign, _ in pairs):
            merged.update({unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs})
        else:
            environment.warn(f"OTEL_RESOURCE_ATTRIBUTES={text!r} is not key=value,key=value: it is ignored")
    name = environment.text("OTEL_SERVICE_NAME")
    if name is not None:
        merged["service.name"] = name
    if resource is not None:
        if not isinstance(resource, Mapping):
            raise ConfigurationError(f"resource={resource!r} is not a mapping: write {{'service.version': '1.2'}}")
        for key, value in resource.items():
            attribute = clean(value, None) if isinstance(key, str) and key else None
            if attribute is None:
                raise ConfigurationError(
                    f"resource has {key!r}: {value!r}, which is not an attribute: "
                    "write text, a number, a boolean or a list"
                )
            merged[key] = attribute
    if service is not None:
        merged["service.name"] = service
    if not isinstance(merged.setdefault("service.name", UNKNOWN_SERVICE), str):
        raise ConfigurationError(f"service.name is {merged['service.name']!r}: write the service's name as text")
    return merged


def _switch(options: Options, name: Literal["receive_spans", "settle_spans"]) -> bool:
    value = options.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} is unknown: write True or False")
    return value


def _joined(opentelemetry: object, environment: Environment) -> bool | None:
    if opentelemetry is None:
        return environment.choice("MQTRACE_OPENTELEMETRY", None)
    if not isinstance(opentelemetry, bool):
        raise ConfigurationError(f"opentelemetry={opentelemetry!r} is unknown: write True, False or None")
    return opentelemetry


def _sampler(sampler: object, environment: Environment) -> Any:
    if sampler is not None:
        return sampling.from_argument(sampler)
    return sampling.from_environment(environment.environ, environment.warn) or sampling.from_argument(1.0)


def _propagator(propagators: object, environment: Environment) -> Composite:
    if propagators is not None:
        return propagation.from_names(propagators)
    text = environment.text("OTEL_PROPAGATORS")
    if text is not None:
        try:
            return propagation.from_names(text)
        except ConfigurationError as error:
            environment.warn(f"OTEL_PROPAGATORS: {error}: {DEFAULT_PROPAGATORS} is used")
    return propagation.from_names(DEFAULT_PROPAGATORS)


def _exporter(exporter: object, environment: Environment) -> Any:
    if exporter is not None:
        if isinstance(exporter, str):
            return export.from_url(exporter, environment)
        exporter = export.adapted(exporter)
        for name, signature in (("export", "export(spans)"), ("shutdown", "shutdown(timeout)")):
            if inspect.iscoroutinefunction(getattr(exporter, name, None)):
                raise ConfigurationError(
                    f"exporter, a {type(exporter).__name__}, has a coroutine for {name}(), which nobody would await: "
                    f"write def {signature}"
                )
        takes = callable(getattr(exporter, "export", None)) or callable(getattr(exporter, "submit", None))
        if takes and callable(getattr(exporter, "shutdown", None)) and not isinstance(exporter, type):
            return exporter
        kind = f"the class {exporter.__name__}" if isinstance(exporter, type) else f"of type {type(exporter).__name__}"
        raise ConfigurationError(
            # its repr may hold a URL, and so a password
            f"exporter is {kind}, which is not an exporter: write a URL such as 'kafka://localhost:9092/otlp_spans', "
            "or pass an object with export(spans) and shutdown(timeout)"
        )
    variable, url = _exporter_url(environment)
    if url is None:
        return None
    try:
        return export.from_url(url, environment)
    except ConfigurationError as error:
        environment.warn(f"{variable}: {error}: nothing leaves")
        return None


#: The names of OTEL_TRACES_EXPORTER, as URLs; zipkin's endpoint is in another variable.
_NAMED_EXPORTERS: Final = {
    "otlp": "otlp:",
    "zipkin": "zipkin:",
    "console": "console:",
    "kafka": "kafka://localhost:9092/otlp_spans",
    "none": "none:",
}


def _exporter_url(environment: Environment) -> tuple[str, str | None]:
    """The variable that names the exporter, and its value as a URL; None, and one warning, if nothing leaves."""
    url = environment.text("MQTRACE_EXPORTER")
    if url is not None:
        return "MQTRACE_EXPORTER", url
    variable = "OTEL_TRACES_EXPORTER"
    named = environment.word(variable)
    if named is None:
        environment.warn(
            "no exporter: spans are made and nothing leaves; write exporter='kafka://host:9092/otlp_spans' or "
            "'http://host:4318', or set MQTRACE_EXPORTER ('none:' says that it is meant)"
        )
        return variable, None
    first, *further_names = [name.strip() for name in named.split(",")]
    if further_names and first in _NAMED_EXPORTERS:
        environment.warn(f"{variable} has several names, and the first of them is used: {first}")
    if first not in _NAMED_EXPORTERS:
        names = ", ".join(_NAMED_EXPORTERS)
        environment.warn(f"{variable}={named[:40]!r} is unknown, nothing leaves: set it to one of {names}")
    return variable, _NAMED_EXPORTERS.get(first)


def _batch(environment: Environment) -> BatchSettings:
    default = BatchSettings()
    size = environment.number("OTEL_BSP_MAX_QUEUE_SIZE", default.max_queue_size, 1)
    return BatchSettings(
        max_queue_size=size,
        max_batch_size=min(size, environment.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default.max_batch_size, 1)),
        schedule_delay=environment.number("OTEL_BSP_SCHEDULE_DELAY", int(default.schedule_delay * 1000)) / 1000,
        export_timeout=environment.number("OTEL_BSP_EXPORT_TIMEOUT", int(default.export_timeout * 1000)) / 1000,
        exit_timeout=environment.number("MQTRACE_EXIT_TIMEOUT", int(default.exit_timeout * 1000)) / 1000,
        sigterm=environment.switch("MQTRACE_SIGTERM"),
        max_queue_bytes=environment.number("MQTRACE_MAX_QUEUE_BYTES", default.max_queue_bytes, 1),
    )
