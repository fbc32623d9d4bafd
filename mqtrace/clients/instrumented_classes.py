"""Classes of clients whose methods another library's instrumentation wraps: OpenTelemetry's, ddtrace's.

Their wrapper stays on the method, but makes no span of a client that mqtrace traces, in whichever order the two begin:
wrappers are changed when mqtrace first wraps a client of the library, and later ones as soon as they are put there.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any, Final, NamedTuple

from mqtrace.clients import sentry
from mqtrace.clients.instrumented import skip_ours_in_class
from mqtrace.imports import when_imported

__all__ = ["skip_ours", "skip_ours_in_library"]


class _Client(NamedTuple):
    """A client library: a module and its classes; a module of theirs -> the function in it that wraps their methods."""

    module: str
    classes: tuple[str, ...]
    instrumented_by: dict[str, str]


_OPENTELEMETRY: Final = "opentelemetry.instrumentation"
_DDTRACE: Final = "ddtrace.contrib.internal"
_CLIENTS: Final = {
    "aiokafka": _Client(
        "aiokafka",
        ("AIOKafkaProducer", "AIOKafkaConsumer"),
        {f"{_OPENTELEMETRY}.aiokafka": "AIOKafkaInstrumentor._instrument", f"{_DDTRACE}.aiokafka.patch": "patch"},
    ),
    "kafka": _Client(
        "kafka", ("KafkaProducer", "KafkaConsumer"), {f"{_OPENTELEMETRY}.kafka": "KafkaInstrumentor._instrument"}
    ),
    "aio_pika": _Client(
        "aio_pika",
        ("Exchange", "Queue"),
        {f"{_OPENTELEMETRY}.aio_pika.aio_pika_instrumentor": "AioPikaInstrumentor._instrument"},
    ),
    "kombu": _Client("kombu.messaging", ("Producer", "Consumer"), {f"{_DDTRACE}.kombu.patch": "patch"}),
}
_skipping: Final[set[str]] = set()


def skip_ours(kind: type) -> None:
    """Make their wrappers, present and future, do nothing for the traced clients of this type's library."""
    for base in kind.__mro__:
        skip_ours_in_library(base.__module__.partition(".")[0])


def skip_ours_in_library(name: str) -> None:
    """The same for the library of this import name."""
    if name in _CLIENTS and name not in _skipping:
        _skipping.add(name)
        for module, function in _CLIENTS[name].instrumented_by.items():
            when_imported(module, functools.partial(_follow, name, function))
        if name == "kombu":
            when_imported("sentry_sdk.integrations.celery", sentry.skip_ours)


def _follow(client: str, function: str, module: ModuleType) -> None:
    """Change the wrappers that are there now, and each time their function has put wrappers on the classes."""
    place: Any = module
    *path, name = function.split(".")
    for part in path:
        place = vars(place)[part]
    instrument = vars(place)[name]

    @functools.wraps(instrument)
    def followed(*args: Any, **kwargs: Any) -> Any:
        result = instrument(*args, **kwargs)
        _skip_ours_in_classes(client)
        return result

    setattr(place, name, followed)
    _skip_ours_in_classes(client)


def _skip_ours_in_classes(client: str) -> None:
    module, classes, _ = _CLIENTS[client]
    if module in sys.modules:  # else there is no class yet that could be wrapped
        for name in classes:
            skip_ours_in_class(vars(sys.modules[module])[name], client)
