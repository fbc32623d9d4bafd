"""pika's messages: the start of their process span.

A message is the callback's (channel, method, properties, body), or the (method, properties, body) of ``basic_get`` and
``consume``. Its parts are recognised by their types, so a handler may take them in any order, or only some of them. It
is a message if it has the properties.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Final

from pika.spec import Basic, BasicProperties  # type: ignore[import-untyped]  # pika ships no types

from mqtrace.clients.proxy import is_traced
from mqtrace.core import NoopSpan, Span, current_frame
from mqtrace.messaging import NOTHING_KNOWN, Batch, Endpoint, Operation, register_part
from mqtrace.messaging.amqp import BatchMessage, DeliverySpan, destination, read_batch, start_delivery_of, template_of
from mqtrace.messaging.brokers import RABBITMQ

from .deliveries import Deliveries, find

__all__ = ["ADAPTER", "begin_delivery"]

_METHODS: Final = (Basic.Deliver, Basic.GetOk)
_NO_METHOD: Final = SimpleNamespace(delivery_tag=None, redelivered=None)


def begin_delivery(
    operation: Operation, method: Any, properties: Any, queue: str, deliveries: Deliveries | None
) -> DeliverySpan | NoopSpan:
    """Start the process span of a message from this queue (empty: not known). It is not current yet."""
    key = (method.exchange, method.routing_key, queue, "" if deliveries is None else deliveries.address)
    template = operation.templates.get(key)
    if template is None:
        endpoint = NOTHING_KNOWN if deliveries is None else deliveries.endpoint
        template = template_of(operation, "process", key, key[:3], endpoint)
    return start_delivery_of(operation, template, method, properties)


class PikaMessages:
    """The :class:`~mqtrace.messaging.MessageAdapter` of pika: of a tuple of parts, or of properties alone."""

    def begin(self, operation: Operation, message: Any) -> DeliverySpan | NoopSpan | None:
        """Start the process span of a message; None if it is not a message, or is being handled already."""
        deliveries, method, properties = _parts(message)
        if properties is None:
            return None
        if method is None:  # its exchange and routing key are not known
            template = operation.templates.get("") or operation.make("", RABBITMQ, "process", None)
            return start_delivery_of(operation, template, _NO_METHOD, properties)
        deliveries = deliveries or find(method)
        if deliveries is None:
            return begin_delivery(operation, method, properties, "", None)
        tag = method.delivery_tag
        if deliveries.handles(tag) and current_frame() is not None:
            return None  # in the callback of basic_consume that called the handler, or in a block around it
        queue, auto_ack = deliveries.source(method)
        span = begin_delivery(operation, method, properties, queue, deliveries)
        if isinstance(span, DeliverySpan):
            if auto_ack:
                span.outcome = "auto"
            else:
                deliveries.hold(tag, span)
        return span

    def handled(self, message: Any) -> Span | NoopSpan | None:
        """The span of a message within its own callback or block."""
        deliveries, method, _ = _parts(message)
        if method is None:
            return None
        deliveries = deliveries or find(method)
        span = None if deliveries is None else deliveries.open.get(method.delivery_tag)
        return None if span is None or span.ended else span

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        batch: list[BatchMessage] = []
        endpoint: Endpoint | None = None
        for message in messages:
            deliveries, method, properties = _parts(message)
            if properties is None:
                continue
            name = ""
            tag = None
            if method is not None:
                tag = method.delivery_tag
                deliveries = deliveries or find(method)
                queue = "" if deliveries is None else deliveries.source(method)[0]
                name = destination(method.exchange, method.routing_key, queue)
            if deliveries is not None and endpoint is None:
                endpoint = deliveries.endpoint
            batch.append((properties.headers, name, tag, properties.message_id, properties.correlation_id))
        return read_batch(operation, RABBITMQ, batch, endpoint or NOTHING_KNOWN)


def _parts(message: Any) -> tuple[Deliveries | None, Any, Any]:
    """The deliveries of the traced channel, the method and the properties, from the parts of a message."""
    deliveries = method = properties = None
    for part in message if isinstance(message, tuple) else (message,):
        if isinstance(part, BasicProperties):
            properties = properties or part
        elif isinstance(part, _METHODS):
            method = method or part
        elif is_traced(type(part)):  # isinstance would read the class of the channel behind a proxy
            deliveries = deliveries or getattr(part._mqtrace, "deliveries", None)
    return deliveries, method, properties


ADAPTER: Final = PikaMessages()
register_part(BasicProperties, ADAPTER)
