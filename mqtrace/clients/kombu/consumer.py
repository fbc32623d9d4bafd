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

from mqtrace.clients.amqp import operation_in
from mqtrace.clients.proxy import Proxy
from mqtrace.core import attach, detach
from mqtrace.messaging import Operation, close
from mqtrace.tracer import SpanTracer

from .message import begin_delivery, handled

__all__ = ["TracedConsumer"]


class TracedConsumer(Proxy):
    """kombu.Consumer. See docs/kombu.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset({"_raw", "_process", "_twin", "_no_ack"})

    def __init__(self, raw: Any, tracer: SpanTracer | None) -> None:
        self._process = Operation("process", tracer)
        self._no_ack = bool(raw.no_ack)
        self._twin = _twin(raw, self)
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        # methods of the twin, so that whatever they register with the broker leads to it; the rest is the same
        twin = self.__dict__.get("_twin")
        return super().__getattr__(name) if twin is None else getattr(twin, name)

    @property
    def on_message(self) -> Any:
        """The user's own."""
        return self._raw.on_message

    @on_message.setter
    def on_message(self, callback: Any) -> None:
        self._raw.on_message = callback

    def receive(self, body: Any, message: Any) -> Any:
        """``receive`` of the consumer: every callback, in the process span of the message."""
        return self._twin.receive(body, message)

    def _received(self, receive: Callable[..., Any], body: Any, message: Any) -> Any:
        callbacks = list(self._raw.callbacks or ())
        operation = (operation_in(callbacks[0]) if len(callbacks) == 1 else None) or self._process
        return self._handled(operation, message, receive, (body, message))

    def _messaged(self, callback: Callable[[Any], Any], message: Any) -> Any:
        return self._handled(operation_in(callback) or self._process, message, callback, (message,))

    def _handled(self, operation: Operation, message: Any, call: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        try:
            span = begin_delivery(operation, message, self._queue(message), self._no_ack)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message could not be traced")
            return call(*given)
        token = attach(span)
        handled[id(message)] = message
        try:
            result = call(*given)
            if not span.ended:
                span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            detach(token)
            handled.pop(id(message), None)
            span.token = None
            close(span, error)
            raise
        detach(token)
        handled.pop(id(message), None)
        return result

    def _queue(self, message: Any) -> str:
        """The queue of a message: of several, the only one that is bound as the message was routed."""
        queues = self._raw.queues
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

    def consume(self, no_ack: bool | None = None) -> Any:
        """``consume`` of the consumer."""
        if no_ack is not None:
            self._no_ack = bool(no_ack)
        return self._twin.consume(no_ack)

    def __enter__(self) -> TracedConsumer:
        self._twin.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._raw.__exit__(*exception)


# ---------------------------------------------------------------------- the twin

_twins: dict[type, type] = {}


def _twin(raw: Any, traced: TracedConsumer) -> Any:
    kind = type(raw)
    made = _twins.get(kind)
    if made is None:
        made = _twins[kind] = _twin_class(kind)
    twin: Any = object.__new__(made)
    twin._mqtrace = traced  # in a slot, since the __dict__ is the caller's
    object.__setattr__(twin, "__dict__", vars(raw))
    for name in {name for base in kind.__mro__ for name in _slots_of(base)}:
        if hasattr(raw, name):  # a subclass of the user's may have some: as they are now
            object.__setattr__(twin, name, getattr(raw, name))
    return twin


def _slots_of(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _twin_class(kind: Any) -> type:
    def receive(self: Any) -> Any:
        # as the consumer finds it: on the object, or in its class
        return functools.partial(self._mqtrace._received, vars(self).get("receive") or super(made, self).receive)

    def on_message(self: Any) -> Any:
        own = vars(self)
        callback = own["on_message"] if "on_message" in own else super(made, self).on_message
        return None if callback is None else functools.partial(self._mqtrace._messaged, callback)

    def setter(name: str) -> Callable[[Any, Any], None]:
        return lambda self, value: vars(self).__setitem__(name, value)

    made: Any = type(
        kind.__name__,
        (kind,),
        {
            "__slots__": ("_mqtrace",),
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            # data descriptors: they stand before what the object itself has of these names
            "receive": property(receive, setter("receive")),
            "on_message": property(on_message, setter("on_message")),
        },
    )
    return made  # type: ignore[no-any-return]  # type() of three arguments gives a type
