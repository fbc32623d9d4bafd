"""Producers of a user's own class: a ``produce`` with arguments of its own, and methods that call it.

The arguments of such a ``produce`` are found by their names. What it does with them is not known: where no callback is
given it may choose one by itself. So the span is the callback only in the place of one that was given; otherwise it
ends at the call, like that of an instance that holds some callback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final
from weakref import ref

import confluent_kafka

from mqtrace.core import SendSpan
from mqtrace.messaging import Facts
from mqtrace.tracer import SpanTracer

from .producer import TracedProducer, refused

__all__ = ["TracedOverridingProducer", "has_own_produce", "route_back"]

_CALLBACKS: Final = ("on_delivery", "callback")


def has_own_produce(kind: type) -> bool:
    """Whether a class of producers overrides ``produce``."""
    return kind.produce not in (  # type: ignore[attr-defined]  # a class of producers
        confluent_kafka.Producer.produce,
        confluent_kafka.SerializingProducer.produce,
    )


class TracedOverridingProducer(TracedProducer):
    """The same for a class with a ``produce`` of its own."""

    _slots = TracedProducer._slots | {"_own", "_signature", "_all_reported"}

    def __init__(self, raw: Any, tracer: SpanTracer | None, facts: Facts, *, reported: bool = True, **_: Any) -> None:
        super().__init__(raw, tracer, facts, reported=False)
        object.__setattr__(self, "_own", raw.produce)
        object.__setattr__(self, "_signature", inspect.signature(raw.produce))
        object.__setattr__(self, "_all_reported", reported)
        self._produce = _make

    def produce(self, *args: Any, **kwargs: Any) -> Any:
        """``produce`` of the client's class: same arguments, same errors, and what it returns.

        Untraced where it takes no ``topic``, or no ``headers`` for the context to travel in.
        """
        call = _Call(self._own, self._signature)
        if not call.takes(args, kwargs):
            return self._own(*args, **kwargs)
        topic = call.given("topic")
        super().produce(topic, call.given("value"), call, -1, call.callback, None, 0, call.given("headers"))
        return call.result

    def _without_report(self, span: SendSpan, arguments: tuple[Any, ...]) -> None:
        call, headers = arguments[2], arguments[7]
        if call.callback is None or not self._all_reported:
            super()._without_report(span, arguments)
            return
        span.callback = call.callback
        self._await(span)
        try:
            call.make(span, headers)
        except BaseException as error:
            span.callback = None
            refused(span, error, headers)
            raise


class _Call:
    """One call of a subclass's ``produce``."""

    __slots__ = ("_bound", "_further", "_name", "_own", "_signature", "callback", "result")

    def __init__(self, own: Callable[..., Any], signature: inspect.Signature) -> None:
        self._own = own
        self._signature = signature
        self._name = ""
        self._further = ""
        self.callback: Any = None
        self.result: Any = None

    def takes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether topic and headers can be told by name. False also for arguments that ``produce`` will refuse."""
        try:
            self._bound = self._signature.bind(*args, **kwargs)
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
        self.result = self._own(*self._bound.args, **self._bound.kwargs)

    def _set(self, name: str, value: Any) -> None:
        arguments = self._bound.arguments
        if name in self._signature.parameters:
            arguments[name] = value
        else:
            arguments[self._further] = {**arguments.get(self._further, {}), name: value}


def _make(
    _topic: Any, _value: Any, call: _Call, _partition: Any, callback: Any, _: None, _at: Any, headers: Any
) -> None:
    """Takes the place of the client's ``produce``, with the call as the key."""
    call.make(callback, headers)


def route_back(proxy: TracedProducer, raw: Any) -> None:
    """Have the methods of a user's class call the traced ``produce`` as ``self.produce``.

    For a client that a traced class made for itself: one that a user made is left as it is.
    """
    try:
        raw.__dict__["produce"] = _Back(proxy, raw)
    except (AttributeError, TypeError):  # a class with __slots__
        pass


class _Back:
    """``produce`` of a client, traced. It keeps neither the proxy nor the client alive."""

    __slots__ = ("_proxy", "_raw")

    def __init__(self, proxy: TracedProducer, raw: Any) -> None:
        self._proxy = ref(proxy)
        self._raw = ref(raw)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        proxy = self._proxy()
        if proxy is not None:
            return proxy.produce(*args, **kwargs)
        raw = self._raw()
        own: Any = type(raw)  # alive: it is what calls this
        return own.produce(raw, *args, **kwargs)
