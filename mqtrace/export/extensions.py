"""Exporters that rooms above this one add: those of other libraries, which nothing here imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mqtrace.environment import Environment
from mqtrace.urls import Url

__all__ = ["adapted", "adapters", "schemes"]

#: Functions that make an exporter from a URL, by the URL's scheme.
schemes: Final[dict[str, Callable[[Url, Environment], Any]]] = {}
#: Functions that make an exporter from another library's object; they return None for any other object.
adapters: Final[list[Callable[[object], Any | None]]] = []


def adapted(exporter: object) -> Any:
    """An exporter of mqtrace around another library's; any other object is returned as it is."""
    for adapt in adapters:
        adapted_exporter = adapt(exporter)
        if adapted_exporter is not None:
            return adapted_exporter
    return exporter
