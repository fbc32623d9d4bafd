"""``SerializingProducer``: its ``produce`` takes the key before the value, and shows the headers to serializers.

A serializer sees the user's headers (``SerializationContext.headers``), None included, and may add to them. So the
context is added after the serializers have run, between the client's ``produce`` and the ``produce`` that this calls by
``super()``: the client's code runs with another ``super`` in its globals. If it does not look up ``super`` there,
serializers see headers that have the context already.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from confluent_kafka.serializing_producer import SerializingProducer

from .producer import DeliveryCallback, TracedProducer
from .producer_state import DeferredHeaders, Headers, Produce

__all__ = ["TracedSerializingProducer", "key_first", "produce_serialized"]


class TracedSerializingProducer(TracedProducer):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()

    def produce(  # type: ignore[override]  # the order differs in the client too
        self,
        topic: str,
        key: Any = None,
        value: Any = None,
        partition: int = -1,
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Headers = None,
    ) -> None:
        """``confluent_kafka.SerializingProducer.produce``: same arguments in the same order, same errors."""
        state = self._mqtrace
        if _produce_deferred is not None and state.produce is produce_serialized:
            headers = DeferredHeaders(self if state.raw is None else state.raw, state, headers)
        super().produce(topic, value, key, partition, on_delivery, None, timestamp, headers)


def produce_serialized(
    client: Any, topic: Any, value: Any, key: Any, partition: Any, callback: Any, _: None, at_ms: Any, headers: Any
) -> None:
    """``SerializingProducer.produce`` with the arguments of ``Producer.produce``."""
    if _produce_deferred is not None and type(headers) is DeferredHeaders:
        _produce_deferred(headers, topic, key, value, partition, callback, at_ms, headers.original)
    else:
        SerializingProducer.produce(client, topic, key, value, partition, callback, at_ms, headers)


def key_first(produce: Any) -> Produce:
    """A ``produce`` that takes the key before the value, with the arguments of ``Producer.produce``."""

    def call(
        client: Any, topic: Any, value: Any, key: Any, partition: Any, callback: Any, _: None, at_ms: Any, headers: Any
    ) -> None:
        produce(client, topic, key, value, partition, callback, at_ms, headers)

    return call


def _with_another_super(function: Any) -> Callable[..., None] | None:
    """The client's ``produce`` with a ``super()`` that returns the argument ``self``; None if it calls no ``super``."""
    code = getattr(function, "__code__", None)
    if code is None or "super" not in code.co_names:
        return None
    names = {**function.__globals__, "super": lambda _, headers: headers}
    return FunctionType(code, names, function.__name__, function.__defaults__, function.__closure__)


_produce_deferred: Final = _with_another_super(SerializingProducer.produce)
