"""Loads the core: the module that MQTRACE_CORE names, or the one in Python."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

from mqtrace.environment import Environment

__all__ = ["PYTHON", "load"]

#: Every core has the names of this one.
PYTHON: Final = "mqtrace.core.python"


def load(facade: dict[str, Any]) -> list[str]:
    """Put every name of the chosen core into ``facade``, and return the names.

    A core that cannot be imported, or lacks a name, is one warning, and the core in Python is used.
    """
    names: list[str] = import_module(PYTHON).__all__
    environment = Environment(os.environ)
    chosen = environment.text("MQTRACE_CORE") or PYTHON
    try:
        module = import_module(chosen)
        facade.update({name: getattr(module, name) for name in names})
    except Exception as error:  # noqa: BLE001  # an import may raise anything
        environment.warn(f"MQTRACE_CORE={chosen!r} cannot be used, and the core in Python is: {error!r}")
        module = import_module(PYTHON)
        facade.update({name: getattr(module, name) for name in names})
    return names
