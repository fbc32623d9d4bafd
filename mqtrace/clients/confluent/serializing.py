"""``SerializingProducer``: its ``produce`` takes the key before the value, and shows the headers to serializers.

A serializer sees the headers that the user gave (``SerializationContext.headers``), None included, and may add to them.
So the context goes in behind the serializers: the client's own ``produce`` runs, and what it reaches by ``super()`` is
ours. It is the client's code with another ``super`` among its globals; if it looks for none there, serializers
see the headers with the context in them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from confluent_kafka.serializing_producer import SerializingProducer

from .producer import DeliveryCallback, TracedProducer
from .sends import Headers, LaterHeaders, Produce

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
        sends = self._mqtrace
        if _behind_serializers is not None and sends.produce is produce_serialized:
            headers = LaterHeaders(self if sends.raw is None else sends.raw, sends, headers)
        super().produce(topic, value, key, partition, on_delivery, None, timestamp, headers)


def produce_serialized(
    client: Any, topic: Any, value: Any, key: Any, partition: Any, callback: Any, _: None, at: Any, headers: Any
) -> None:
    """``SerializingProducer.produce`` with the arguments of ``Producer.produce``."""
    if _behind_serializers is not None and type(headers) is LaterHeaders:
        _behind_serializers(headers, topic, key, value, partition, callback, at, headers.given)
    else:
        SerializingProducer.produce(client, topic, key, value, partition, callback, at, headers)


def key_first(produce: Any) -> Produce:
    """A ``produce`` that takes the key before the value, with the arguments of ``Producer.produce``."""

    def call(
        client: Any, topic: Any, value: Any, key: Any, partition: Any, callback: Any, _: None, at: Any, headers: Any
    ) -> None:
        produce(client, topic, key, value, partition, callback, at, headers)

    return call


def _with_another_super(function: Any) -> Callable[..., None] | None:
    """The client's ``produce``, where ``super()`` is what is passed as ``self``; None if it calls no ``super``."""
    code = getattr(function, "__code__", None)
    if code is None or "super" not in code.co_names:
        return None
    names = {**function.__globals__, "super": lambda _, headers: headers}
    return FunctionType(code, names, function.__name__, function.__defaults__, function.__closure__)


_behind_serializers: Final = _with_another_super(SerializingProducer.produce)
