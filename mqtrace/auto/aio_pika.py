"""aio-pika: the channels that its connections make."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import mqtrace

__all__ = ["put_in_place"]


def put_in_place(module: ModuleType) -> None:
    """Have ``channel()`` of a connection, plain or robust, return a traced channel."""
    plain: Any = module.__dict__["Connection"]
    robust: Any = module.__dict__["RobustConnection"]
    # A robust connection notes the channel that the plain one made, to restore it: that has to be aio-pika's own.
    plain.channel = _traced(plain.channel, lambda connection: not isinstance(connection, robust))
    robust.channel = _traced(robust.channel, lambda connection: True)


def _traced(channel: Callable[..., Any], applies: Callable[[Any], bool]) -> Callable[..., Any]:
    @functools.wraps(channel)
    def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = channel(self, *args, **kwargs)
        return mqtrace.wrap(made) if applies(self) else made

    return traced
