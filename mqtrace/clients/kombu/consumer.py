"""kombu's Consumer, traced: its callbacks run in the process span of their message.

For each message a Consumer calls its ``on_message``, or, if that is None, its ``receive``, which calls every callback.
The consumer itself registers these two methods with the broker, so a proxy around it would not be called. An object
that was made without us is therefore not changed, but consumes through its twin: an object of a subclass that overrides
the two methods and shares the consumer's ``__dict__``, so that the two have the same state at any time. All callbacks
of a message share one span.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mqtrace.clients.callback_wrapper import CallbackWrapper
from mqtrace.clients.proxy import State, Traced
from mqtrace.messaging import Operation
from mqtrace.messaging.handlers import operation_in
from mqtrace.messaging.run import run
from mqtrace.tracer import SpanTracer

from .channels import restore_channel
from .message import begin_delivery, in_callbacks

__all__ = ["ConsumerState", "TracedConsumer", "TwinState", "TwinnedConsumer"]


class ConsumerState(State):
    """The state of an object of a traced class, or of a twin. ``no_ack``: its messages need no acknowledgement."""

    __slots__ = ("_process", "no_ack")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self._process = Operation("process", tracer)
        self.no_ack = False

    def opened(self, client: Any) -> None:
        """Note whether its messages need no acknowledgement."""
        self.no_ack = bool(client.no_ack)

    def unwrapped(self, client: Any) -> None:
        """Leave its channel as it was."""
        restore_channel(client.channel)

    def call_receive(self, consumer: Any, receive: Callable[..., Any], body: Any, message: Any) -> Any:
        """Call ``receive`` of a consumer in the process span of the message."""
        callbacks = list(consumer.callbacks or ())
        operation = (operation_in(callbacks[0]) if len(callbacks) == 1 else None) or self._process
        return self._call(consumer, operation, message, receive, (body, message))

    def call_on_message(self, consumer: Any, callback: Callable[[Any], Any], message: Any) -> Any:
        """Call ``on_message`` of a consumer in the process span of the message."""
        return self._call(consumer, operation_in(callback) or self._process, message, callback, (message,))

    def _call(
        self, consumer: Any, operation: Operation, message: Any, call: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        try:
            span = begin_delivery(operation, message, _queue_of(consumer, message), self.no_ack, True)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return call(*arguments)
        in_callbacks[id(message)] = span
        try:
            return run(span, call, arguments)
        finally:
            in_callbacks.pop(id(message), None)


def _queue_of(consumer: Any, message: Any) -> str:
    """The queue of a message: of several, the only one whose binding fits the message; empty if it is not known."""
    queues = consumer.queues
    if len(queues) > 1:
        info = message.delivery_info or {}
        exchange, routing_key = info.get("exchange") or "", info.get("routing_key") or ""
        queues = [
            queue
            for queue in queues
            if (queue.exchange is not None and queue.exchange.name == exchange and queue.routing_key == routing_key)
            or (not exchange and queue.name == routing_key)
        ]
    return str(queues[0].name) if len(queues) == 1 else ""


class TracedConsumer(Traced):
    """kombu.Consumer, of a traced class. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ConsumerState

    # Properties, because they come before the attributes of these names in the object's ``__dict__``.

    @property
    def receive(self) -> Any:
        """``receive`` of the consumer: every callback, in the process span of the message."""
        # as Python looks it up: on the object, then in its class
        receive = vars(self).get("receive") or super().receive
        return functools.partial(self._mqtrace.call_receive, self, receive)

    @receive.setter
    def receive(self, receive: Any) -> None:
        self.__dict__["receive"] = receive

    @property
    def on_message(self) -> Any:
        """The user's ``on_message``, in the process span of the message."""
        attributes = vars(self)
        callback = attributes["on_message"] if "on_message" in attributes else super().on_message
        return None if callback is None else _OnMessage(self, callback)

    @on_message.setter
    def on_message(self, callback: Any) -> None:
        self.__dict__["on_message"] = callback

    def consume(self, no_ack: bool | None = None) -> Any:
        """``consume`` of the consumer."""
        if no_ack is not None:
            self._mqtrace.no_ack = bool(no_ack)
        return super().consume(no_ack)


class _OnMessage(CallbackWrapper):
    """``on_message`` of a traced consumer."""

    __slots__ = ("_consumer",)

    def __init__(self, consumer: Any, callback: Callable[[Any], Any]) -> None:
        self._consumer = consumer
        self.function = callback

    def __call__(self, message: Any) -> Any:
        return self._consumer._mqtrace.call_on_message(self._consumer, self.function, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


# ---------------------------------------------------------------------- objects that were made without us


class TwinState(State):
    """The state of the proxy of a consumer. ``twin``: what consumes in its place."""

    __slots__ = ("twin",)

    def __init__(self, raw: Any, tracer: SpanTracer | None, kind: type) -> None:
        super().__init__()
        self.twin = _twin(raw, kind, tracer)

    def unwrapped(self, client: Any) -> None:
        """Leave its channel as it was."""
        restore_channel(client.channel)


class TwinnedConsumer(Traced):
    """kombu.Consumer, made without us. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: TwinState

    def __getattr__(self, name: str) -> Any:
        if name == "_mqtrace":
            raise AttributeError(name)
        # the twin's methods, because they register the twin's callbacks with the broker; the rest is the same
        return getattr(self._mqtrace.twin, name)

    @property
    def on_message(self) -> Any:
        """The user's ``on_message``."""
        return self._mqtrace.raw.on_message

    @on_message.setter
    def on_message(self, callback: Any) -> None:
        self._mqtrace.raw.on_message = callback

    def __enter__(self) -> TwinnedConsumer:
        self._mqtrace.twin.__enter__()
        return self


def _twin(raw: Any, kind: type, tracer: SpanTracer | None) -> Any:
    """The twin of a consumer. ``kind``: the traced class of its class."""
    twin: Any = object.__new__(kind)
    state = ConsumerState(tracer)
    state.opened(raw)
    object.__setattr__(twin, "_mqtrace", state)
    object.__setattr__(twin, "__dict__", vars(raw))
    for name in {name for base in type(raw).__mro__ for name in _slots_of(base)}:
        if hasattr(raw, name):  # a user's subclass may have slots: the twin has their present values
            object.__setattr__(twin, name, getattr(raw, name))
    return twin


def _slots_of(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))
