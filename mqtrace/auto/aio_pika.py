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
    plain_class: Any = module.__dict__["Connection"]
    robust_class: Any = module.__dict__["RobustConnection"]
    # A robust connection notes the channel that the plain one made, to restore it: that has to be aio-pika's own.
    plain_class.channel = _traced(plain_class.channel, lambda connection: not isinstance(connection, robust_class))
    robust_class.channel = _traced(robust_class.channel, lambda connection: True)


def _traced(channel: Callable[..., Any], applies: Callable[[Any], bool]) -> Callable[..., Any]:
    @functools.wraps(channel)
    def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        raw_channel = channel(self, *args, **kwargs)
        return mqtrace.wrap(raw_channel) if applies(self) else raw_channel

    return traced
