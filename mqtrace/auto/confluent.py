"""confluent-kafka: its producers and consumers by the names that applications import."""

from __future__ import annotations

from types import ModuleType
from typing import Final

import mqtrace

from .names import replace_names

__all__ = ["put_in_place"]

_NAMES: Final = ("Producer", "Consumer", "SerializingProducer", "DeserializingConsumer")


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``confluent_kafka``, and into the modules that have taken its own from there."""
    replaced = {raw: mqtrace.wrap(raw) for name in _NAMES if (raw := module.__dict__.get(name)) is not None}
    for name in _NAMES:
        if name in module.__dict__:
            module.__dict__[name] = replaced[module.__dict__[name]]
    replace_names(replaced, "confluent_kafka")
