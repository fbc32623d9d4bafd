"""Propagation: formats that write a trace context into headers, one a file.

Formats see carriers only. :func:`from_names` makes a :class:`Composite` from OpenTelemetry's names
(OTEL_PROPAGATORS): tracecontext, baggage, b3, b3multi, jaeger, xray, datadog, none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Final

from mqtrace.errors import ConfigurationError

from ._protocol import MalformedContext, Propagator
from .b3 import B3Multi, B3Single
from .baggage import Baggage
from .composite import Composite
from .datadog import Datadog
from .jaeger import Jaeger
from .tracecontext import TraceContext
from .xray import XRay

__all__ = [
    "B3Multi",
    "B3Single",
    "Baggage",
    "Composite",
    "Datadog",
    "Jaeger",
    "MalformedContext",
    "Propagator",
    "TraceContext",
    "XRay",
    "from_names",
]

_FORMATS: Final[dict[str, Callable[[], Propagator]]] = {
    "tracecontext": TraceContext,
    "baggage": Baggage,
    "b3": B3Single,
    "b3multi": B3Multi,
    "jaeger": Jaeger,
    "xray": XRay,
    "datadog": Datadog,
}


def from_names(names: object, on_malformed: Callable[[], None] | None = None) -> Composite:
    """A composite of formats, in order, each once.

    ``names``: a text of names separated by commas, a :class:`Propagator`, or an iterable of both. ``none`` adds
    nothing. Raises :class:`mqtrace.ConfigurationError` for a name that is not known, and for anything else.
    """
    return Composite(_once(_formats(names)), on_malformed)


def _formats(names: object) -> Iterable[Propagator]:
    if isinstance(names, str):
        for part in names.split(","):
            name = part.strip().lower()
            if name in _FORMATS:
                yield _FORMATS[name]()
            elif name not in ("", "none"):
                raise _unknown(part.strip())
    elif isinstance(names, Composite):
        yield from names.formats
    elif isinstance(names, Propagator):
        for method in ("extract", "inject"):
            if inspect.iscoroutinefunction(getattr(names, method)):
                raise ConfigurationError(
                    f"the propagator {names!r} has a coroutine for {method}(), which nobody would await: "
                    f"write def {method}"
                )
        yield names
    elif isinstance(names, Iterable) and not isinstance(names, bytes):
        for name in names:
            yield from _formats(name)
    else:
        raise _unknown(names)


def _once(formats: Iterable[Propagator]) -> Iterable[Propagator]:
    """The first format of each name: writing a header again would change nothing."""
    seen: dict[str, Propagator] = {}
    for each in formats:
        seen.setdefault(each.name, each)
    return seen.values()


def _unknown(name: object) -> ConfigurationError:
    return ConfigurationError(
        f"unknown propagator {name!r}: write one of {', '.join(_FORMATS)}, none, or pass an object with name, fields, "
        "extract and inject"
    )
