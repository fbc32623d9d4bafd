"""The channel of messages that settle themselves through it, as those of aio-pika do.

A proxy of the channel has the messages' source, and every acknowledgement goes through it. No client library is
imported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mqtrace.messaging.amqp import DeliverySpan
from mqtrace.messaging.deliveries import Broker, Source

from .proxy import State, Traced, stand_in

__all__ = ["SettlingChannel", "make_adopter", "source_of"]


class _ChannelState(State):
    __slots__ = ("source",)

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source


def _settling(verb: str, *names: str) -> Any:
    """The method of a channel that settles with this verb. ``names``: those of its arguments, in their order."""

    async def method(self: SettlingChannel, delivery_tag: Any, *args: Any, **options: Any) -> Any:
        state = self._mqtrace
        options = {**dict(zip(names, args, strict=False)), **options}
        return await state.source.settle(verb, getattr(state.raw, f"basic_{verb}"), delivery_tag, options)

    return method


_ack = _settling("ack", "multiple", "wait")


async def _acknowledged(span: DeliverySpan, call: Awaitable[Any]) -> Any:
    result = await call
    if not span.ended:
        span.outcome = "ack"
    return result


class SettlingChannel(Traced):
    """A channel through which messages settle themselves."""

    __slots__ = ()
    _mqtrace: _ChannelState

    @property
    def is_closed(self) -> Any:
        """``is_closed`` of the channel, which every acknowledgement reads."""
        return self._mqtrace.raw.is_closed

    def basic_ack(self, delivery_tag: Any, multiple: bool = False, *args: Any, **options: Any) -> Any:
        """``basic_ack`` of the channel. It runs once a message, mostly in the callback, so it is flat."""
        state = self._mqtrace
        source = state.source
        span = source.handling.get(delivery_tag)
        if multiple or args or span is None or source.broker.settle.tracer.settings.settle_spans:
            return _ack(self, delivery_tag, multiple, *args, **options)
        if type(span) is DeliverySpan:
            return _acknowledged(span, state.raw.basic_ack(delivery_tag, **options))
        return state.raw.basic_ack(delivery_tag, **options)  # not recorded, so there is nothing to note

    basic_nack = _settling("nack", "multiple", "requeue", "wait")
    basic_reject = _settling("reject")


def make_adopter(broker: Broker, queue: Any, no_ack: bool, slot: Any) -> Callable[[Any], Source | None]:
    """Make ``adopt(message)``, which notes that a message is from this queue, and returns its source.

    ``slot``: the descriptor of the slot in which a message keeps its channel; None if there is none.
    """
    get, put = getattr(slot, "__get__", None), getattr(slot, "__set__", None)
    raw: Any = None
    proxy: Any = None
    source: Source | None = None

    def adopt(message: Any) -> Source | None:
        nonlocal raw, proxy, source
        try:
            channel = get(message)  # type: ignore[misc]  # None if the slot is missing: the TypeError is caught
            if channel is not raw:  # the first message, or the first since a reconnect
                source = Source(broker, queue.name, no_ack, channel)
                proxy, raw = stand_in(SettlingChannel, channel, _ChannelState(source)), channel
            put(message, proxy)  # type: ignore[misc]  # as above
            return source
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            broker.process.tracer.complain("the queue of a message could not be noted")
            return None

    return adopt


def source_of(channel: Any) -> Source | None:
    """The source of the messages of a channel: of a :class:`SettlingChannel`; None for any other."""
    return channel._mqtrace.source if issubclass(type(channel), SettlingChannel) else None
