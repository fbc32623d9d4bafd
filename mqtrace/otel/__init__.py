"""Beside OpenTelemetry: both have the same current span. None of it is imported before the application imports it."""

from __future__ import annotations

import importlib
import logging
import sys
from types import ModuleType
from typing import Any, Final

from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.export import extensions
from mqtrace.imports import when_imported
from mqtrace.urls import Url

__all__ = ["follow"]

log = logging.getLogger("mqtrace")

_CONTEXT = "opentelemetry.context"
_waits = False


def follow(wanted: bool | None) -> None:
    """Join OpenTelemetry's context with ours: once the process imports it (None), now (True), or never (False).

    ConfigurationError if it is wanted and not installed.
    """
    if wanted is False:
        return
    if wanted:
        try:
            importlib.import_module(_CONTEXT)
        except ImportError as error:
            raise ConfigurationError(
                "opentelemetry=True, and OpenTelemetry is not installed: pip install 'mqtrace[otel]'"
            ) from error
    global _waits
    if not _waits:
        _waits = True
        when_imported(_CONTEXT, _join)


def leave() -> None:
    """Undo :func:`follow`, also if the two are joined already."""
    global _waits
    _waits = False
    bridge = sys.modules.get("mqtrace.otel.bridge")
    if bridge is not None:
        bridge.leave()


def _join(module: ModuleType) -> None:
    if not _waits:
        return
    try:
        from . import bridge

        bridge.join()
    except Exception as error:  # noqa: BLE001  # tracing goes on, each of the two with a context of its own
        log.warning(
            "mqtrace is not joined with this OpenTelemetry, in which something it needs is missing (%s: %s): "
            "opentelemetry-api 1.30 and newer can be",
            type(error).__name__,
            error,
        )


def _adapted(exporter: object) -> Any:
    """An exporter of the SDK as one of mqtrace; None for any other object. The SDK is not imported to find out."""
    if "opentelemetry.sdk.trace.export" not in sys.modules:
        return None
    from . import exporters

    return exporters.adapted(exporter)


def _provider(url: Url, environment: Environment) -> Any:
    if url.location not in ("", "//") or url.query is not None:
        raise url.error("nothing follows opentelemetry: here: write 'opentelemetry:'")
    try:
        from . import exporters
    except ModuleNotFoundError:
        raise url.error("OpenTelemetry's SDK is missing: pip install opentelemetry-sdk") from None
    return exporters.ProviderExporter()


#: Names that are imported when they are used: the module of each, and the distribution that has what it imports.
_LAZY: Final = {
    "KafkaSpanExporter": ("kafka_span_exporter", "opentelemetry-sdk"),
    "MqtraceInstrumentor": ("instrumentor", "opentelemetry-instrumentation"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, distribution = _LAZY[name]
    try:
        return getattr(importlib.import_module(f".{module}", __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        sentence = f"mqtrace.otel.{name} needs {error.name}, which is missing: pip install {distribution}"
        raise ModuleNotFoundError(sentence, name=error.name) from None


extensions.adapters.append(_adapted)
extensions.schemes["opentelemetry"] = _provider
