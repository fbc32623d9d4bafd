"""aiokafka: its producer and consumer by the names that applications import."""

from __future__ import annotations

from types import ModuleType

import mqtrace

from .names import replace_names

__all__ = ["put_in_place"]


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``aiokafka``, and into the modules that have taken its own from there."""
    space = module.__dict__
    replaced = {space[name]: mqtrace.wrap(space[name]) for name in ("AIOKafkaProducer", "AIOKafkaConsumer")}
    space.update({raw.__name__: made for raw, made in replaced.items()})
    replace_names(replaced, "aiokafka")
