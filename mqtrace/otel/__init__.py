"""Beside OpenTelemetry: one answer to what is current. Nothing of it is imported before the application imports it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from mqtrace.errors import ConfigurationError
from mqtrace.imports import when_imported

__all__ = ["follow"]

_CONTEXT = "opentelemetry.context"
_waits = False


def follow(wanted: bool | None) -> None:
    """Join OpenTelemetry's context with ours: once the process imports it (None), or now (True). False: leave it.

    ConfigurationError where it is wanted and not installed.
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
    """Undo :func:`follow`, for what is joined already too."""
    global _waits
    _waits = False
    bridge = sys.modules.get("mqtrace.otel.bridge")
    if bridge is not None:
        bridge.leave()


def _join(module: ModuleType) -> None:
    if _waits:
        from . import bridge

        bridge.join()
