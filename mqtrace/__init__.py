"""mqtrace keeps a trace whole while a request travels through message queues.

``configure`` once, ``wrap`` producers and consumers, decorate handlers with ``consumer``: the spans of both sides of a
queue are one trace. See README.md for ten lines of use and docs/ for the rest.
"""

from __future__ import annotations

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
from .version import VERSION as __version__

__all__ = [
    "ConfigurationError",
    "Context",
    "Event",
    "Link",
    "NoopSpan",
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
