"""What pika is given in the place of a callback that it hands a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.callback_wrapper import CallbackWrapper

__all__ = ["Handing"]


class Handing(CallbackWrapper):
    """Gives a callback the traced channel where pika gives its own."""

    __slots__ = ("channel",)

    def __init__(self, function: Callable[..., Any], channel: Any) -> None:
        self.function = function
        self.channel = channel

    def __call__(self, _channel: Any, *rest: Any) -> Any:
        return self.function(self.channel, *rest)
