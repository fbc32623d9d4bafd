"""kombu's Consumer, traced: its callbacks run in the process span of their message.

A Consumer calls its own ``on_message`` if there is one, else its own ``receive``, which calls every callback. What the
broker delivers goes there, and not through anything around it. The caller's consumer is left as it is; what consumes is
its twin: an object of a subclass whose ``__dict__`` is the consumer's own, so that they are alike in everything, at any
time, but for these two. So all callbacks of one message share one span, and what ``unwrap`` gives was never touched.
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

from .channels import leave_channel
from .message import begin_delivery, handled

__all__ = ["Receiving", "Standing", "TracedConsumer", "TwinnedConsumer"]


class Receiving(State):
    """The state of a consumer whose callbacks run in spans: of one of a traced class, or of a twin."""

    __slots__ = ("_process", "no_ack")

    def __init__(self, tracer: SpanTracer | None) -> None:
        super().__init__()
        self._process = Operation("process", tracer)
        self.no_ack = False

    def opened(self, client: Any) -> None:
        """Note whether nobody acknowledges its messages."""
        self.no_ack = bool(client.no_ack)

    def unwrapped(self, client: Any) -> None:
        """Leave its channel as it was."""
        leave_channel(client.channel)

    def received(self, consumer: Any, receive: Callable[..., Any], body: Any, message: Any) -> Any:
        """Call ``receive`` of a consumer in the process span of the message."""
        callbacks = list(consumer.callbacks or ())
        operation = (operation_in(callbacks[0]) if len(callbacks) == 1 else None) or self._process
        return self._handled(consumer, operation, message, receive, (body, message))

    def messaged(self, consumer: Any, callback: Callable[[Any], Any], message: Any) -> Any:
        """Call ``on_message`` of a consumer in the process span of the message."""
        return self._handled(consumer, operation_in(callback) or self._process, message, callback, (message,))

    def _handled(
        self, consumer: Any, operation: Operation, message: Any, call: Callable[..., Any], given: tuple[Any, ...]
    ) -> Any:
        try:
            span = begin_delivery(operation, message, _queue_of(consumer, message), self.no_ack, True)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return call(*given)
        handled[id(message)] = message
        try:
            return run(span, call, given)
        finally:
            handled.pop(id(message), None)


def _queue_of(consumer: Any, message: Any) -> str:
    """The queue of a message: of several, the only one that is bound as the message was routed."""
    queues = consumer.queues
    if len(queues) > 1:
        said = message.delivery_info or {}
        exchange, routing_key = said.get("exchange") or "", said.get("routing_key") or ""
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
    _mqtrace: Receiving

    # Data descriptors: they stand before what the object itself has of these names.

    @property
    def receive(self) -> Any:
        """``receive`` of the consumer: every callback, in the process span of the message."""
        # as the consumer finds it: on the object, or in its class
        own = vars(self).get("receive") or super().receive
        return functools.partial(self._mqtrace.received, self, own)

    @receive.setter
    def receive(self, receive: Any) -> None:
        self.__dict__["receive"] = receive

    @property
    def on_message(self) -> Any:
        """The user's own, in the process span of the message."""
        own = vars(self)
        callback = own["on_message"] if "on_message" in own else super().on_message
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
        return self._consumer._mqtrace.messaged(self._consumer, self.function, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


# ---------------------------------------------------------------------- objects that somebody else made


class Standing(State):
    """The state of what stands in for a consumer: its twin."""

    __slots__ = ("twin",)

    def __init__(self, raw: Any, tracer: SpanTracer | None, kind: type) -> None:
        super().__init__()
        #: An object of ``kind``, the traced class of the consumer's class.
        self.twin = _twin(raw, kind, tracer)

    def unwrapped(self, client: Any) -> None:
        """Leave its channel as it was."""
        leave_channel(client.channel)


class TwinnedConsumer(Traced):
    """kombu.Consumer, made by somebody else. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Standing

    def __getattr__(self, name: str) -> Any:
        if name == "_mqtrace":
            raise AttributeError(name)
        # methods of the twin, so that whatever they register with the broker leads to it; the rest is the same
        return getattr(self._mqtrace.twin, name)

    @property
    def on_message(self) -> Any:
        """The user's own."""
        return self._mqtrace.raw.on_message

    @on_message.setter
    def on_message(self, callback: Any) -> None:
        self._mqtrace.raw.on_message = callback

    def __enter__(self) -> TwinnedConsumer:
        self._mqtrace.twin.__enter__()
        return self


def _twin(raw: Any, kind: type, tracer: SpanTracer | None) -> Any:
    twin: Any = object.__new__(kind)
    state = Receiving(tracer)
    state.opened(raw)
    object.__setattr__(twin, "_mqtrace", state)
    object.__setattr__(twin, "__dict__", vars(raw))
    for name in {name for base in type(raw).__mro__ for name in _slots_of(base)}:
        if hasattr(raw, name):  # a subclass of the user's may have some: as they are now
            object.__setattr__(twin, name, getattr(raw, name))
    return twin


def _slots_of(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))
