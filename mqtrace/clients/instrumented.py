"""Clients that another library's instrumentation has wrapped as well: traced once, by mqtrace, which says so once.

What is theirs is known by the module that a class or a function is defined in. Nothing of theirs is imported here, and
what they have wrapped stays wrapped for every client that mqtrace makes no spans of: one that it was not given, or all
of them while it is not configured or turned off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Final
from weakref import WeakKeyDictionary

from mqtrace.clients.proxy import State, state_of
from mqtrace.imports import when_imported
from mqtrace.messaging import Operation

__all__ = [
    "beneath",
    "defined",
    "either",
    "is_theirs",
    "leave_class",
    "makes_spans",
    "others",
    "pass_by",
    "say",
    "traced_by_us",
    "warn",
]

log = logging.getLogger("mqtrace")

#: The module that instruments clients: how it is called, and what turns it off for one of them.
_LIBRARIES: Final = {
    "opentelemetry.instrumentation.": ("OpenTelemetry", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={}"),
    "ddtrace.": ("ddtrace", "DD_PATCH_MODULES={}:false"),
}
#: What OpenTelemetry calls a client otherwise than the client itself.
_OPENTELEMETRY_NAMES: Final = {"aio_pika": "aio-pika"}
#: What ddtrace calls a client otherwise than the client itself.
_DDTRACE_NAMES: Final = {"confluent_kafka": "kafka"}

_said: set[tuple[str, str]] = set()


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
    library, setting = _LIBRARIES[found]
    names = _DDTRACE_NAMES if library == "ddtrace" else _OPENTELEMETRY_NAMES
    warn(library, client, f"disable the other with {setting.format(names.get(client, client))}")
    return True


def warn(library: str, client: str, rest: str) -> None:
    """Say once that this library traces the client too. ``rest``: what follows from that for its user."""
    if (library, client) not in _said:
        _said.add((library, client))
        log.warning(
            "%s's instrumentation and mqtrace both trace %s: mqtrace alone makes spans of what it traces; %s",
            library,
            client,
            rest,
        )


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


#: Whether mqtrace makes spans of a thing in which nothing is ours: what traces a library without wrapping knows.
others: Final[list[Callable[[Any], bool]]] = []


def traced_by_us(client: Any) -> bool:
    """Whether mqtrace makes spans of what a client does."""
    state = state_of(client)
    return any(other(client) for other in others) if state is None else _makes_spans(state)


def either(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Calls the first with a client that mqtrace makes spans of, the second with any other."""

    def call(client: Any, *args: Any, **kwargs: Any) -> Any:
        return (ours if traced_by_us(client) else theirs)(client, *args, **kwargs)

    return call


def makes_spans(operation: Operation) -> bool:
    """Whether spans are made of an operation: mqtrace is configured, and not turned off."""
    return not operation.tracer.settings.disabled


#: One operation of each state that was asked about: they all make spans, or none does.
_operations: Final[WeakKeyDictionary[State, Operation]] = WeakKeyDictionary()


def _makes_spans(state: State) -> bool:
    operation = _operations.get(state)
    if operation is None:
        operation = next(_operations_in(state, 3), None)
        if operation is None:
            return True
        _operations[state] = operation
    return makes_spans(operation)


def _operations_in(part: Any, depth: int) -> Iterator[Operation]:
    """The operations of a state, which has them in its slots, or in those of what it shares with other states."""
    if isinstance(part, Operation):
        yield part
    elif depth and type(part).__module__.startswith("mqtrace."):
        names = {name for kind in type(part).__mro__ for name in vars(kind).get("__slots__", ())} - {"raw"}
        for name in sorted(names):
            yield from _operations_in(getattr(part, name, None), depth - 1)
    elif depth and (state := state_of(part)) is not None:  # the twin of a consumer
        yield from _operations_in(state, depth - 1)


def leave_class(kind: type, client: str) -> None:
    """Have the methods that others have wrapped on a class, or on a base of it, pass by for what mqtrace traces.

    ``client``: its import name, for what is said.
    """
    for base in kind.__mro__:
        for name, method in list(vars(base).items()):
            theirs: Any = getattr(method, "_self_wrapper", None)  # of wrapt, which all of them use
            if is_theirs(theirs):
                setattr(base, name, type(method)(method.__wrapped__, _passing_by(theirs, client)))


def _passing_by(theirs: Callable[..., Any], client: str) -> Callable[..., Any]:
    def call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        if traced_by_us(instance):
            say(client, (theirs,))
            return wrapped(*args, **kwargs)
        return theirs(wrapped, instance, args, kwargs)

    return call


def pass_by(module: str, put: Callable[[ModuleType], object]) -> None:
    """Call ``put(module)`` for a module of theirs, now or once it is imported, to have it leave alone what is ours."""
    when_imported(module, put)
