"""Producers of a user's own class that overrides ``produce``, perhaps with other arguments.

The arguments of such a ``produce`` are found by their names. What it does with them is not known: if no callback is
passed it may choose one itself. So the span is the callback only if it can replace one that was passed. Otherwise it
ends at the call, like that of an instance that holds some callback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka.cimpl import Producer
from confluent_kafka.serializing_producer import SerializingProducer

from mqtrace.clients.instrumented import uninstrumented_method

from .producer import TracedProducer
from .producer_state import ProducerState, ReportedSend, produce_failed

__all__ = ["OverridingProducerState", "TracedOverridingProducer", "overrides_produce"]

_CALLBACKS: Final = ("on_delivery", "callback")


def overrides_produce(kind: type) -> bool:
    """Whether a class of producers overrides ``produce``."""
    return uninstrumented_method(kind, "produce") not in (Producer.produce, SerializingProducer.produce)


class OverridingProducerState(ProducerState):
    """The state of a producer whose class overrides ``produce``."""

    __slots__ = ("overriding", "signature")

    def __init__(self, tracer: Any, produce: Callable[..., Any], options: Any) -> None:
        super().__init__(tracer, _produce, options)
        #: ``produce`` of the class, which takes the client first.
        self.overriding = produce
        self.signature = inspect.signature(produce)

    def opened(self, client: Any) -> None:
        """Note nothing: what the class does with a callback in its configuration is not known."""

    def produce_unreported(self, span: ReportedSend, arguments: tuple[Any, ...]) -> None:
        """Send a message. The span replaces the callback that was passed, or ends at the call if there is none."""
        call: _Call = arguments[3]
        if call.callback is None or not self.reports_success:
            super().produce_unreported(span, arguments)
            return
        span.callback = call.callback
        self.pending.hold(span)
        try:
            call.produce(span, arguments[-1])
        except BaseException as error:
            produce_failed(span, error, arguments[-1])
            raise


class TracedOverridingProducer(TracedProducer):
    """The traced methods of a class that overrides ``produce``."""

    __slots__ = ()

    def produce(self, *args: Any, **kwargs: Any) -> Any:
        """``produce`` of the client's class: same arguments, same errors, and what it returns.

        Untraced if it takes no ``topic``, or no ``headers`` for the context to travel in.
        """
        state: Any = self._mqtrace  # an OverridingProducerState
        client = self if state.raw is None else state.raw
        call = _Call(client, state.overriding, state.signature)
        if not call.bind(args, kwargs):
            return state.overriding(client, *args, **kwargs)
        topic = call.argument("topic")
        super().produce(topic, call.argument("value"), call, -1, call.callback, None, 0, call.argument("headers"))
        return call.result


class _Call:
    """One call of a ``produce`` that overrides the client's."""

    __slots__ = ("_bound", "_client", "_keywords", "_name", "_produce", "_signature", "callback", "result")

    def __init__(self, client: Any, produce: Callable[..., Any], signature: inspect.Signature) -> None:
        self._client = client
        self._produce = produce
        self._signature = signature
        #: The name of the argument that is the callback.
        self._name = ""
        #: The name of the parameter ``**kwargs``.
        self._keywords = ""
        self.callback: Any = None
        self.result: Any = None

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Bind the arguments. Returns whether topic and headers have names; False also if ``produce`` will refuse."""
        try:
            self._bound = self._signature.bind(self._client, *args, **kwargs)
        except TypeError:
            return False
        parameters = self._signature.parameters
        self._keywords = next((name for name, one in parameters.items() if one.kind is one.VAR_KEYWORD), "")
        if not self._keywords and "headers" not in parameters:
            return False
        for name in _CALLBACKS:
            if self.argument(name) is not None:
                self._name, self.callback = name, self.argument(name)
                break
        return isinstance(self.argument("topic"), str)

    def argument(self, name: str) -> Any:
        """An argument of the call; None if it was left out."""
        arguments = self._bound.arguments
        return arguments[name] if name in arguments else arguments.get(self._keywords, {}).get(name)

    def produce(self, callback: Any, headers: Any) -> None:
        """Make the call, with ``callback`` instead of the one that was passed, and with these headers."""
        if self._name:
            self._set(self._name, callback)
        if headers is not None:
            self._set("headers", headers)
        self.result = self._produce(*self._bound.args, **self._bound.kwargs)  # the client is the first of them

    def _set(self, name: str, value: Any) -> None:
        arguments = self._bound.arguments
        if name in self._signature.parameters:
            arguments[name] = value
        else:
            arguments[self._keywords] = {**arguments.get(self._keywords, {}), name: value}


def _produce(
    _client: Any, _topic: Any, _value: Any, call: _Call, _partition: Any, callback: Any, _: None, _at: Any, headers: Any
) -> None:
    """Takes the place of the client's ``produce``. The call is passed as the key."""
    call.produce(callback, headers)
