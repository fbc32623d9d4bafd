"""Replaces an object by another in the globals of all loaded modules."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

__all__ = ["replace_names"]

log = logging.getLogger("mqtrace")


def replace_names(replaced: Mapping[Any, Any], library: str) -> None:
    """Replace a library's classes by traced ones, in the globals of the modules that are loaded already.

    ``replaced``: class -> its traced class. ``library``: the top of its import path, whose own modules are not changed.
    A subclass, and an alias in a class or closure, stays untraced; subclasses are logged at debug level.
    """
    by_id = {id(raw): traced for raw, traced in replaced.items()}
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in (library, "mqtrace") or not isinstance(module, ModuleType):
            continue
        space = module.__dict__
        for key, value in list(space.items()):
            # by identity: the hash of a stand-in (Celery's current_app, Flask's request) is that of what it stands for,
            # which may not be there yet
            traced = by_id.get(id(value))
            if traced is not None:
                space[key] = traced
    for kind, traced in replaced.items():
        for derived in kind.__subclasses__():
            if derived is not traced and derived.__module__.partition(".")[0] not in (library, "mqtrace"):
                log.debug("mqtrace: %s derives from %s as it was before, and is not traced", derived, kind.__name__)
