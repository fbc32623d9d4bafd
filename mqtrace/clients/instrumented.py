"""Clients that another library's instrumentation has wrapped as well: mqtrace alone traces them, and warns once.

A class or function is "theirs" if the module that defines it is of an instrumentation. None of those is imported here.
Their wrappers stay on the clients, and make the spans of each client that mqtrace makes none of: one that is not traced
by mqtrace, or any client while mqtrace is not configured or is turned off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from mqtrace.clients.proxy import State, state_of
from mqtrace.messaging import Operation

__all__ = [
    "is_theirs",
    "makes_spans",
    "ours_if_traced",
    "skip_ours_in_class",
    "traced_by_us",
    "tracing_checks",
    "uninstrumented",
    "uninstrumented_method",
    "warn_if_theirs",
    "warn_once",
]

log = logging.getLogger("mqtrace")

#: The start of the modules of an instrumentation -> its name, and the setting that disables it for one client.
_LIBRARIES: Final = {
    "opentelemetry.instrumentation.": ("OpenTelemetry", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={}"),
    "ddtrace.": ("ddtrace", "DD_PATCH_MODULES={}:false"),
}
#: OpenTelemetry's names of clients that differ from their import names.
_OPENTELEMETRY_NAMES: Final = {"aio_pika": "aio-pika"}
#: ddtrace's names of clients that differ from their import names.
_DDTRACE_NAMES: Final = {"confluent_kafka": "kafka"}

_warned: set[tuple[str, str]] = set()


def _library(thing: Any) -> str | None:
    module = getattr(thing, "__module__", None)
    return next((prefix for prefix in _LIBRARIES if isinstance(module, str) and module.startswith(prefix)), None)


def is_theirs(thing: Any) -> bool:
    """Whether a class, a function or a bound method belongs to another library's instrumentation."""
    return _library(thing) is not None


def warn_if_theirs(client: str, things: Iterable[Any]) -> bool:
    """Warn once which instrumentation to disable, if one of ``things`` is theirs. Returns whether one is.

    ``client``: the import name of the client.
    """
    prefix = next(filter(None, map(_library, things)), None)
    if prefix is None:
        return False
    library, setting = _LIBRARIES[prefix]
    names = _DDTRACE_NAMES if library == "ddtrace" else _OPENTELEMETRY_NAMES
    warn_once(library, client, f"disable the other with {setting.format(names.get(client, client))}")
    return True


def warn_once(library: str, client: str, rest: str) -> None:
    """Warn once that this library traces the client too. ``rest``: what that means for the user."""
    if (library, client) not in _warned:
        _warned.add((library, client))
        log.warning(
            "%s's instrumentation and mqtrace both trace %s: mqtrace alone makes spans of what it traces; %s",
            library,
            client,
            rest,
        )


def uninstrumented_method(kind: type, name: str) -> Any:
    """The method of a class, past subclasses of theirs; AttributeError if there is none."""
    for base in kind.__mro__:
        if name in vars(base) and not is_theirs(base):
            return getattr(base, name)
    return getattr(kind, name)


def uninstrumented(method: Any) -> Any:
    """The method of an object that a method of theirs wraps; any other method as it is."""
    while is_theirs(method) or is_theirs(getattr(method, "_self_wrapper", None)):
        below = getattr(method, "_original_function", None) or getattr(method, "__wrapped__", None)
        if below is None:
            break
        method = below
    return method


#: Functions that return whether mqtrace makes spans of an object without a state: of libraries traced without `wrap`.
tracing_checks: Final[list[Callable[[Any], bool]]] = []


def traced_by_us(client: Any) -> bool:
    """Whether mqtrace makes spans of a client's calls."""
    state = state_of(client)
    return any(check(client) for check in tracing_checks) if state is None else _makes_spans(state)


def ours_if_traced(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls ``ours`` if mqtrace makes spans of the client, its first argument, and else ``theirs``."""

    def call(client: Any, *args: Any, **kwargs: Any) -> Any:
        return (ours if traced_by_us(client) else theirs)(client, *args, **kwargs)

    return call


def makes_spans(operation: Operation) -> bool:
    """Whether spans are made of an operation: its tracer is configured, and not turned off."""
    return not operation.tracer.settings.disabled


#: One operation of each state: either all operations of a state make spans, or none does.
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
    """The operations in the slots of a state, and in the slots of those of our objects that its slots hold."""
    if isinstance(part, Operation):
        yield part
    elif depth and type(part).__module__.startswith("mqtrace."):
        names = {name for kind in type(part).__mro__ for name in vars(kind).get("__slots__", ())} - {"raw"}
        for name in sorted(names):
            yield from _operations_in(getattr(part, name, None), depth - 1)
    elif depth and (state := state_of(part)) is not None:  # the twin of a consumer
        yield from _operations_in(state, depth - 1)


def skip_ours_in_class(kind: type, client: str) -> None:
    """Make what they have put over methods of a class, or of its bases, do nothing for clients that mqtrace traces.

    ``client``: its import name, for the warning.
    """
    for base in kind.__mro__:
        for name, method in list(vars(base).items()):
            theirs: Any = getattr(method, "_self_wrapper", None)  # set by wrapt, which all of them use
            if is_theirs(theirs):
                setattr(base, name, type(method)(method.__wrapped__, _skipping_ours(theirs, client)))


def _skipping_ours(theirs: Callable[..., Any], client: str) -> Callable[..., Any]:
    def call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        if traced_by_us(instance):
            warn_if_theirs(client, (theirs,))
            return wrapped(*args, **kwargs)
        return theirs(wrapped, instance, args, kwargs)

    return call
