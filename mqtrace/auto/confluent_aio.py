"""confluent_kafka.aio: its producer and consumer by the names that applications import.

They make a Producer or a Consumer of confluent_kafka, which may be a traced class by now. That one would trace again
what they send, and make spans of their polls in the threads of an executor; so they are given the client's own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

import mqtrace

from .names import replace_names

__all__ = ["put_in_place"]

_CLIENTS: Final = ("AIOProducer", "AIOConsumer")


class _Bare:
    """The module confluent_kafka, with the client's own classes."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self.Producer: Any = mqtrace.unwrap(library.__dict__["Producer"])
        self.Consumer: Any = mqtrace.unwrap(library.__dict__["Consumer"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``confluent_kafka.aio``, and into the modules that have taken its own from there."""
    space = module.__dict__
    library = sys.modules["confluent_kafka"]
    own = [space[name] for name in _CLIENTS]
    for raw in own:
        home = sys.modules[raw.__module__].__dict__
        if home.get("confluent_kafka") is library:
            home["confluent_kafka"] = _Bare(library)
    replaced = {raw: mqtrace.wrap(raw) for raw in own}
    space.update({raw.__name__: made for raw, made in replaced.items()})
    replace_names(replaced, "confluent_kafka")
