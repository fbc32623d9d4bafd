"""``opentelemetry-instrument``: mqtrace traces an application's queues, OpenTelemetry the rest.

Spans leave through the application's TracerProvider, whose service, resource and sampler hold.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined,unused-ignore]  # no __all__
    BaseInstrumentor,
)
from opentelemetry.sdk.trace import sampling as theirs

from mqtrace import sampling
from mqtrace import tracer as tracers

from .exporters import ProviderExporter

__all__ = ["MqtraceInstrumentor", "sampler_of"]

_KINDS: Final = {kind.name.lower(): kind for kind in trace.SpanKind}


class MqtraceInstrumentor(BaseInstrumentor):  # type: ignore[misc,unused-ignore]  # untyped where it is not installed
    """The instrumentor ``mqtrace`` of ``opentelemetry-instrument``; ``MqtraceInstrumentor().instrument()`` in code.

    ``tracer_provider``: through which spans leave, the global one if left out. An earlier ``mqtrace.configure`` holds.
    ``uninstrument`` disconnects Celery's signals; clients that were put in place stay in place.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: a client is traced where it is imported."""
        return ()

    def _instrument(self, **options: Any) -> None:
        provider = options.get("tracer_provider")
        # By name: the layers above this room must not be imported by it, and an entry point is loaded after them.
        api: Any = importlib.import_module("mqtrace")
        if not tracers.is_configured():
            exporter = "opentelemetry:" if provider is None else ProviderExporter(lambda: provider)
            provider = provider or trace.get_tracer_provider()
            resource: Mapping[str, Any] = getattr(getattr(provider, "resource", None), "attributes", {})
            api.configure(
                resource.get("service.name"),
                sampler=sampler_of(getattr(provider, "sampler", None)),
                exporter=exporter,
                resource=dict(resource),
            )
        importlib.import_module("mqtrace.auto").activate()

    def _uninstrument(self, **options: Any) -> None:
        importlib.import_module("mqtrace").uninstrument_celery()


def sampler_of(sampler: Any) -> Any:
    """A sampler of the SDK as one of mqtrace; None for None.

    Always, never and a share of trace ids are translated, so that the hot path calls no sampler; any other is called.
    """
    if sampler is None:
        return None
    root = getattr(sampler, "_root", None)  # there is no public way to them
    if isinstance(sampler, theirs.ParentBased) and root is not None:
        follows = {
            "remote_sampled": (getattr(sampler, "_remote_parent_sampled", None), theirs.ALWAYS_ON),
            "remote_not_sampled": (getattr(sampler, "_remote_parent_not_sampled", None), theirs.ALWAYS_OFF),
        }
        overrides = {
            name: _root_of(child_sampler)
            for name, (child_sampler, default) in follows.items()
            if child_sampler is not None and child_sampler is not default
        }
        return sampling.ParentBased(_root_of(root), **overrides)
    translated = _root_of(sampler)  # of spans with a parent too
    return sampling.ParentBased(translated, remote_sampled=translated, remote_not_sampled=translated)


def _root_of(sampler: Any) -> Any:
    if type(sampler) is theirs.TraceIdRatioBased:
        return sampler.rate
    description = sampler.get_description()
    if isinstance(sampler, theirs.StaticSampler) and description in ("AlwaysOnSampler", "AlwaysOffSampler"):
        return 1.0 if description == "AlwaysOnSampler" else 0.0
    return AskedSampler(sampler)


class AskedSampler:
    """Calls a sampler of the SDK, as the SDK does for a root. The attributes that it would add are left out."""

    def __init__(self, sampler: theirs.Sampler) -> None:
        self.sampler = sampler

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """Whether its decision is to record and sample."""
        result = self.sampler.should_sample(Context(), int(trace_id, 16), name, _KINDS.get(kind), dict(attributes))
        return result.decision is theirs.Decision.RECORD_AND_SAMPLE
