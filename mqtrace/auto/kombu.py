"""kombu: its Producer, Consumer and simple queues, as applications use them.

kombu itself uses these classes (for simple queues and the mailboxes of remote control), and so does Celery, whose tasks
are traced by its signals. What these two send and read is not traced: the caller decides, since there is one class, and
the pools are shared.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from mqtrace.clients import instrumented_classes
from mqtrace.clients import kombu as clients
from mqtrace.clients.kombu.consumer import ConsumerState, TracedConsumer
from mqtrace.clients.kombu.producer import ProducerState, TracedProducer
from mqtrace.clients.proxy import register, traced_class

from .names import replace_names

__all__ = ["put_in_place"]

_LIBRARIES: Final = ("kombu", "celery")
#: What stands between the application and a client where the application asks a connection, or a mixin's partial.
_BETWEEN: Final = ("kombu.connection", "functools", "contextlib")


def _is_called_by_a_library() -> bool:
    """Whether kombu or Celery itself calls the method or constructor that runs now."""
    frame = sys._getframe(2)
    while frame is not None:
        name: str = frame.f_globals.get("__name__") or ""
        top = name.partition(".")[0]
        if top != "mqtrace" and name not in _BETWEEN:
            return top in _LIBRARIES
        frame = frame.f_back  # type: ignore[assignment]  # None at the end, which the loop asks
    return False


class PlacedProducer(TracedProducer):
    """kombu.Producer where an application uses it."""

    __slots__ = ()

    def publish(self, *args: Any, **kwargs: Any) -> Any:
        """``kombu.Producer.publish``: same arguments in the same order, same errors."""
        if _is_called_by_a_library():
            return super(TracedProducer, self).publish(*args, **kwargs)
        return super().publish(*args, **kwargs)


class PlacedConsumerState(ConsumerState):
    """The state of a consumer that knows who made it."""

    __slots__ = ("passes",)

    def __init__(self) -> None:
        super().__init__(None)
        self.passes = False

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note whether kombu or Celery made this consumer for itself."""
        self.passes = _is_called_by_a_library()

    def call_receive(self, consumer: Any, receive: Any, body: Any, message: Any) -> Any:
        """Call ``receive`` of a consumer, in the process span of the message where an application made it."""
        return receive(body, message) if self.passes else super().call_receive(consumer, receive, body, message)

    def call_on_message(self, consumer: Any, callback: Any, message: Any) -> Any:
        """Call ``on_message`` of a consumer, in the process span of the message where an application made it."""
        return callback(message) if self.passes else super().call_on_message(consumer, callback, message)


def put_in_place(module: ModuleType) -> None:
    """Put the traced classes into ``kombu.messaging`` and ``kombu.simple``, and where they were taken from there."""
    messaging, simple = module.__dict__, sys.modules["kombu.simple"].__dict__
    replaced = {
        messaging["Producer"]: traced_class(messaging["Producer"], PlacedProducer, lambda: ProducerState(None)),
        messaging["Consumer"]: traced_class(messaging["Consumer"], TracedConsumer, PlacedConsumerState),
        **{simple[name]: clients.wrap(simple[name], None, {}) for name in ("SimpleQueue", "SimpleBuffer")},
    }
    for raw, traced in replaced.items():
        register(raw, traced)
        instrumented_classes.skip_ours(raw)
    # where kombu itself names them; its lazy top module has only what was asked for
    for name in ("kombu", "kombu.messaging", "kombu.simple", "kombu.mixins"):
        _replace(vars(sys.modules.get(name, ModuleType(name))), replaced)
    # It imports kombu.messaging, and may just be doing so: then it takes from there what stands there now.
    pool: Any = vars(sys.modules.get("kombu.pools", ModuleType("kombu.pools"))).get("ProducerPool")
    if pool is not None:
        pool.Producer = replaced.get(pool.Producer, pool.Producer)
    replace_names(replaced, "kombu")


def _replace(space: dict[str, Any], replaced: Mapping[type, type]) -> None:
    for name, value in list(space.items()):
        if isinstance(value, type) and value in replaced:
            space[name] = replaced[value]
