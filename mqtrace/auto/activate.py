"""Puts traced clients in place as their libraries are imported."""

from __future__ import annotations

import importlib
import logging
import os
from types import ModuleType
from typing import Final

import mqtrace
from mqtrace import tracer as tracers
from mqtrace.clients.entry_points import entry_points_by_name
from mqtrace.environment import Environment
from mqtrace.imports import when_imported

__all__ = ["activate"]

log = logging.getLogger("mqtrace")

#: Import name of a client -> the module after whose import something is put in place, and our module that does it.
_PLACES: Final = {
    "aiokafka": ("aiokafka", "mqtrace.auto.aiokafka"),
    "confluent_kafka": ("confluent_kafka", "mqtrace.auto.confluent"),
    "kafka": ("kafka", "mqtrace.auto.kafka_python"),
    "pika": ("pika", "mqtrace.auto.pika"),
    "aio_pika": ("aio_pika", "mqtrace.auto.aio_pika"),
    "kombu": ("kombu.messaging", "mqtrace.auto.kombu"),
    "celery": ("celery", "mqtrace.auto.celery"),
}
_active = False


def activate() -> None:
    """Wrap the wanted clients as they are imported, or now. Calling it again does nothing."""
    global _active
    environment = Environment(os.environ)
    if _active or environment.flag("MQTRACE_DISABLED"):
        return
    _active = True
    if not tracers.is_configured():
        mqtrace.configure()
    for name in _wanted(environment):
        module, ours = _PLACES.get(name, (name, "mqtrace.auto.entry_points"))
        when_imported(module, _Placing(ours), whole=True)


class _Placing:
    """Calls ``put_in_place(module)`` of one of our modules, which is imported then."""

    def __init__(self, ours: str) -> None:
        self._ours = ours

    def __call__(self, module: ModuleType) -> None:
        importlib.import_module(self._ours).put_in_place(module)
        log.debug("mqtrace: the clients of %s are traced", module.__name__)


def _wanted(environment: Environment) -> list[str]:
    text = environment.text("MQTRACE_CLIENTS")
    available = [*_PLACES, *(name for name in entry_points_by_name() if name not in _PLACES)]
    if text is None:
        return available
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in available]
    if unknown:
        environment.warn(f"MQTRACE_CLIENTS: {unknown} are not known: there are {', '.join(available)}")
    return [name for name in names if name in available]
