"""Producers of a user's own class: a ``produce`` with arguments of its own, and methods that call it.

The arguments of such a ``produce`` are found by their names. What it does with them is not known: where no callback is
given it may choose one by itself. So the span is the callback only in the place of one that was given; otherwise it
ends at the call, like that of an instance that holds some callback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka.cimpl import Producer
from confluent_kafka.serializing_producer import SerializingProducer

from mqtrace.clients.instrumented import defined

from .producer import TracedProducer
from .sends import ReportedSend, Sends, refused

__all__ = ["Overriding", "TracedOverridingProducer", "has_own_produce"]

_CALLBACKS: Final = ("on_delivery", "callback")


def has_own_produce(kind: type) -> bool:
    """Whether a class of producers overrides ``produce``."""
    return defined(kind, "produce") not in (Producer.produce, SerializingProducer.produce)


class Overriding(Sends):
    """The state of a producer with a ``produce`` of its own."""

    __slots__ = ("own", "signature")

    def __init__(self, tracer: Any, produce: Callable[..., Any], options: Any, **named: Any) -> None:
        super().__init__(tracer, _make, options, **named)
        #: The class's own ``produce``, called with the client.
        self.own = produce
        self.signature = inspect.signature(produce)

    def opened(self, client: Any) -> None:
        """What the class does with a callback of its own is not known."""

    def unreported(self, span: ReportedSend, arguments: tuple[Any, ...]) -> None:
        """Send a message: the span takes the place of a callback that was given, and ends at the call without one."""
        call: _Call = arguments[3]
        if call.callback is None or not self.all_reported:
            super().unreported(span, arguments)
            return
        span.callback = call.callback
        self.waiting.hold(span)
        try:
            call.make(span, arguments[-1])
        except BaseException as error:
            refused(span, error, arguments[-1])
            raise


class TracedOverridingProducer(TracedProducer):
    """The same for a class with a ``produce`` of its own."""

    __slots__ = ()

    def produce(self, *args: Any, **kwargs: Any) -> Any:
        """``produce`` of the client's class: same arguments, same errors, and what it returns.

        Untraced where it takes no ``topic``, or no ``headers`` for the context to travel in.
        """
        sends: Any = self._mqtrace  # an Overriding
        client = self if sends.raw is None else sends.raw
        call = _Call(client, sends.own, sends.signature)
        if not call.takes(args, kwargs):
            return sends.own(client, *args, **kwargs)
        topic = call.given("topic")
        super().produce(topic, call.given("value"), call, -1, call.callback, None, 0, call.given("headers"))
        return call.result


class _Call:
    """One call of a subclass's ``produce``."""

    __slots__ = ("_bound", "_client", "_further", "_name", "_own", "_signature", "callback", "result")

    def __init__(self, client: Any, own: Callable[..., Any], signature: inspect.Signature) -> None:
        self._client = client
        self._own = own
        self._signature = signature
        self._name = ""
        self._further = ""
        self.callback: Any = None
        self.result: Any = None

    def takes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether topic and headers can be told by name. False also for arguments that ``produce`` will refuse."""
        try:
            self._bound = self._signature.bind(self._client, *args, **kwargs)
        except TypeError:
            return False
        parameters = self._signature.parameters
        further = [name for name, one in parameters.items() if one.kind is one.VAR_KEYWORD]
        self._further = further[0] if further else ""
        if not self._further and "headers" not in parameters:
            return False
        for name in _CALLBACKS:
            if self.given(name) is not None:
                self._name, self.callback = name, self.given(name)
                break
        return isinstance(self.given("topic"), str)

    def given(self, name: str) -> Any:
        """An argument of the call; None where it was left out."""
        arguments = self._bound.arguments
        return arguments[name] if name in arguments else arguments.get(self._further, {}).get(name)

    def make(self, callback: Any, headers: Any) -> None:
        """Call it, with another callback in the place of the one that was given, and with these headers."""
        if self._name:
            self._set(self._name, callback)
        if headers is not None:
            self._set("headers", headers)
        self.result = self._own(*self._bound.args, **self._bound.kwargs)  # the client is the first of them

    def _set(self, name: str, value: Any) -> None:
        arguments = self._bound.arguments
        if name in self._signature.parameters:
            arguments[name] = value
        else:
            arguments[self._further] = {**arguments.get(self._further, {}), name: value}


def _make(
    _client: Any, _topic: Any, _value: Any, call: _Call, _partition: Any, callback: Any, _: None, _at: Any, headers: Any
) -> None:
    """Takes the place of the client's ``produce``, with the call as the key."""
    call.make(callback, headers)
