"""Exporters that rooms above this one know: of other libraries, which nothing here imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mqtrace.environment import Environment
from mqtrace.urls import Url

__all__ = ["adapted", "adapters", "schemes"]

#: What makes an exporter of a URL, by the URL's scheme.
schemes: Final[dict[str, Callable[[Url, Environment], Any]]] = {}
#: What makes an exporter of an object that is another library's; None where it is not.
adapters: Final[list[Callable[[object], Any | None]]] = []


def adapted(exporter: object) -> Any:
    """An exporter of mqtrace around another library's; what is not one comes back as it is."""
    for adapt in adapters:
        made = adapt(exporter)
        if made is not None:
            return made
    return exporter
