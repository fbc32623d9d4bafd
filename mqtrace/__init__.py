"""mqtrace keeps a trace whole while a request travels through message queues.

``configure`` once, ``wrap`` producers and consumers, decorate handlers with ``consumer``: the spans of both sides of a
queue are one trace. See README.md for ten lines of use and docs/ for the rest.

A name is imported when it is first asked for: ``mqtrace run`` imports this package in every process and mostly asks for
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import carriers, propagation, sampling
    from .api import (
        Tracer,
        baggage,
        batch,
        configure,
        consumer,
        current_span,
        each,
        extract,
        flush,
        inject,
        instrument_celery,
        process,
        set_baggage,
        shutdown,
        start_span,
        stats,
        uninstrument_celery,
        unwrap,
        use,
        wrap,
    )
    from .core import Context, Event, Link, NoopSpan, Span
    from .errors import ConfigurationError
    from .sampling import Rule
    from .version import VERSION as __version__

__all__ = [
    "ConfigurationError",
    "Context",
    "Event",
    "Link",
    "NoopSpan",
    "Rule",
    "Span",
    "Tracer",
    "__version__",
    "baggage",
    "batch",
    "carriers",
    "configure",
    "consumer",
    "current_span",
    "each",
    "extract",
    "flush",
    "inject",
    "instrument_celery",
    "process",
    "propagation",
    "sampling",
    "set_baggage",
    "shutdown",
    "start_span",
    "stats",
    "uninstrument_celery",
    "unwrap",
    "use",
    "wrap",
]

_ELSEWHERE = {
    **dict.fromkeys(("Context", "Event", "Link", "NoopSpan", "Span"), "core"),
    "ConfigurationError": "errors",
    "Rule": "sampling",
}


#: Those that ``import mqtrace`` has always made attributes of the package.
_MODULES = frozenset(
    (
        *("api", "carriers", "clients", "config", "core", "errors", "export"),
        *("messaging", "propagation", "sampling", "tracer", "version"),
    )
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module(".version", __name__).VERSION
    elif name in __all__ and name not in _MODULES:
        value = getattr(importlib.import_module(f".{_ELSEWHERE.get(name, 'api')}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
