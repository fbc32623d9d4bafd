"""Clients that another library's instrumentation has wrapped as well: traced once, by mqtrace, which says so once.

What is theirs is known by the module that a class or a function is defined in. Nothing of theirs is imported here, and
what they have wrapped stays wrapped for every client that is not traced by mqtrace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final
from weakref import WeakValueDictionary

from mqtrace.clients.proxy import is_traced
from mqtrace.imports import when_imported

__all__ = ["beneath", "defined", "is_theirs", "leave_class", "pass_by", "say", "stands_for", "traced_by_us"]

log = logging.getLogger("mqtrace")

#: The module that instruments clients: how it is called, and what turns it off for one of them.
_LIBRARIES: Final = {
    "opentelemetry.instrumentation.": ("OpenTelemetry", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={}"),
    "ddtrace.": ("ddtrace", "DD_PATCH_MODULES={}:false"),
}
#: What ddtrace calls a client otherwise than the client itself.
_DDTRACE_NAMES: Final = {"confluent_kafka": "kafka"}

_said: set[tuple[str, str]] = set()
#: Objects of theirs that one of ours stands in for, by id.
_stood_for: Final[WeakValueDictionary[int, Any]] = WeakValueDictionary()


def _library(thing: Any) -> str | None:
    module = getattr(thing, "__module__", None)
    if isinstance(module, str):
        for prefix in _LIBRARIES:
            if module.startswith(prefix):
                return prefix
    return None


def is_theirs(thing: Any) -> bool:
    """Whether a class, a function or a bound method is of another library's instrumentation."""
    return _library(thing) is not None


def say(client: str, things: Iterable[Any]) -> bool:
    """Say once which instrumentation to disable, if one of these is theirs. Returns whether one is.

    ``client``: the import name of the client.
    """
    found = next((prefix for prefix in map(_library, things) if prefix is not None), None)
    if found is None:
        return False
    if (found, client) not in _said:
        _said.add((found, client))
        library, setting = _LIBRARIES[found]
        name = _DDTRACE_NAMES.get(client, client) if library == "ddtrace" else client
        log.warning(
            "%s's instrumentation and mqtrace both trace %s: mqtrace alone makes spans of what it traces; disable the "
            "other with %s",
            library,
            client,
            setting.format(name),
        )
    return True


def defined(kind: type, name: str) -> Any:
    """The method of a class, without what an instrumentation has put over it; AttributeError where there is none."""
    for base in kind.__mro__:
        if name in vars(base) and not is_theirs(base):
            return getattr(base, name)
    return getattr(kind, name)


def beneath(method: Any) -> Any:
    """What a method of one object was before it was instrumented; any other as it is."""
    while is_theirs(method) or is_theirs(getattr(method, "_self_wrapper", None)):
        below = getattr(method, "_original_function", None) or getattr(method, "__wrapped__", None)
        if below is None:
            break
        method = below
    return method


def stands_for(raw: Any) -> None:
    """Say that one of ours stands in for this object of a class of theirs, so that its own calls are not traced."""
    _stood_for[id(raw)] = raw


def traced_by_us(client: Any) -> bool:
    """Whether a client is traced by mqtrace."""
    return is_traced(type(client)) or _stood_for.get(id(client)) is client


def leave_class(kind: type) -> None:
    """Have the methods that ddtrace has wrapped on a class pass by for the objects that mqtrace traces."""
    for base in kind.__mro__:
        if _library(base) != "ddtrace.":
            continue
        for name, method in list(vars(base).items()):
            theirs: Any = getattr(method, "_self_wrapper", None)
            if _library(theirs) == "ddtrace.":
                setattr(base, name, type(method)(method.__wrapped__, _passing_by(theirs)))


def _passing_by(theirs: Callable[..., Any]) -> Callable[..., Any]:
    def call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        if traced_by_us(instance):
            return wrapped(*args, **kwargs)
        return theirs(wrapped, instance, args, kwargs)

    return call


def pass_by(module: str, put: Callable[[ModuleType], object]) -> None:
    """Call ``put(module)`` for a module of theirs, now or once it is imported, to have it leave alone what is ours."""
    when_imported(module, put)
