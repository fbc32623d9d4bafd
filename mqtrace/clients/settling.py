"""The channel of a message, where messages settle themselves through it, as those of aio-pika do.

A stand-in for the channel says where a message is from, and sees every acknowledgement. No client library is imported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mqtrace.messaging.amqp import DeliverySpan
from mqtrace.messaging.deliveries import Broker, Source

from .proxy import State, Traced, stand_in

__all__ = ["Settling", "adopting", "source_of"]


class _SourceState(State):
    __slots__ = ("source",)

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source


def _settling(verb: str, *names: str) -> Any:
    """The method of the channel that settles with this verb. ``names``: of its arguments by position."""

    async def method(self: Settling, delivery_tag: Any, *args: Any, **options: Any) -> Any:
        own = self._mqtrace
        options = {**dict(zip(names, args, strict=False)), **options}
        return await own.source.settle(verb, getattr(own.raw, f"basic_{verb}"), delivery_tag, options)

    return method


_ack = _settling("ack", "multiple", "wait")


async def _acknowledged(span: DeliverySpan, call: Awaitable[Any]) -> Any:
    result = await call
    if not span.ended:
        span.outcome = "ack"
    return result


class Settling(Traced):
    """The channel of a message, which is settled through it."""

    __slots__ = ()
    _mqtrace: _SourceState

    @property
    def is_closed(self) -> Any:
        """``is_closed`` of the channel, which every acknowledgement asks for."""
        return self._mqtrace.raw.is_closed

    def basic_ack(self, delivery_tag: Any, multiple: bool = False, *args: Any, **options: Any) -> Any:
        """``basic_ack`` of the channel, which every message asks for once, in its callback mostly."""
        own = self._mqtrace
        source = own.source
        span = source.handling.get(delivery_tag)
        if multiple or args or span is None or source.broker.settle.tracer.settings.settle_spans:
            return _ack(self, delivery_tag, multiple, *args, **options)
        if type(span) is DeliverySpan:
            return _acknowledged(span, own.raw.basic_ack(delivery_tag, **options))
        return own.raw.basic_ack(delivery_tag, **options)  # not recorded: nobody to tell

    basic_nack = _settling("nack", "multiple", "requeue", "wait")
    basic_reject = _settling("reject")


def adopting(broker: Broker, queue: Any, no_ack: bool, slot: Any) -> Callable[[Any], Source | None]:
    """``adopt(message)`` has a message say that it is from this queue. It runs once a message, so it is flat.

    ``slot``: the descriptor of the slot in which a message keeps its channel; None where it has none.
    """
    get, put = getattr(slot, "__get__", None), getattr(slot, "__set__", None)
    raw: Any = None
    channel_of_ours: Any = None
    source: Source | None = None

    def adopt(message: Any) -> Source | None:
        nonlocal raw, channel_of_ours, source
        try:
            channel = get(message)  # type: ignore[misc]  # None where the slot is missing, which is caught
            if channel is not raw:  # the first message, or the first since a reconnect
                source = Source(broker, queue.name, no_ack, channel)
                channel_of_ours, raw = stand_in(Settling, channel, _SourceState(source)), channel
            put(message, channel_of_ours)  # type: ignore[misc]  # as above
            return source
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            broker.process.tracer.complain("where a message is from could not be noted")
            return None

    return adopt


def source_of(channel: Any) -> Source | None:
    """The source of the messages of a channel that :func:`adopting` put there; None for another channel."""
    return channel._mqtrace.source if issubclass(type(channel), Settling) else None
