"""Clients from outside: the traced classes of their types, in the place of the library's."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

import mqtrace
from mqtrace.clients.entry_points import load_clients

from .names import replace_names

__all__ = ["put_in_place"]

log = logging.getLogger("mqtrace")


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes of a client into its library, whose top module this is, and wherever they are named."""
    library = module.__name__
    client = load_clients().get(library)
    replaced: dict[Any, Any] = {}
    for kind in () if client is None else client.types:
        try:
            replaced[kind] = mqtrace.wrap(kind)
        except Exception as error:  # noqa: BLE001  # somebody else's code, and the program goes on with its own class
            log.debug("mqtrace: %s is not traced: %r", kind, error)
    for name, one in list(sys.modules.items()):
        if name.partition(".")[0] == library and isinstance(one, ModuleType):
            for key, value in list(vars(one).items()):
                if isinstance(value, type) and value in replaced:
                    setattr(one, key, replaced[value])
    replace_names(replaced, library)
