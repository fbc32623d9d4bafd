"""The channel of a message: its broker, and what becomes of its messages.

A message says little of that: ``reject(requeue=True)`` leaves it as ``reject()`` does. Its channel is told. So the
methods that settle are replaced on the channel: of a traced consumer until it is unwrapped, of any other while a
message is at work, with settle spans until it is settled. Nothing is put into the message, which an application may
copy or serialize.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final
from weakref import ref

from mqtrace.core import keep_recent
from mqtrace.messaging import Operation
from mqtrace.messaging.acknowledgements import start_settle
from mqtrace.messaging.amqp import DeliverySpan

from .broker import UNKNOWN, Broker, broker_of_connection

__all__ = ["Channel", "channel_of", "leave_channel"]

# Of messages that nobody settles, only the outcome of the oldest goes unnoticed.
_HELD: Final = 65536
# Of those that went back and whose span had ended, so that nobody asks.
_UNASKED: Final = 1024
_NOBODY: Final = (None, None)


class Channel:
    """What is known of one channel."""

    __slots__ = ("_ack", "_reject", "_requeued", "at_work", "broker", "is_of", "stays")

    def __init__(self, broker: Broker, channel: Any = None) -> None:
        self.broker = broker
        #: The channel, by a weak reference.
        self.is_of: Callable[[], Any] = _nobody if channel is None else ref(channel, _forget(id(channel)))
        #: Whether ``basic_reject`` stays replaced. To put it there and back for each message makes kombu's own calls of
        #: the channel slower, as the interpreter has to look again where its attributes are: 2 of 40 us a message.
        self.stays = False
        #: By delivery tag the process span of a message, and the operation of its settle span; None without.
        self.at_work: dict[Any, tuple[DeliverySpan, Operation | None]] = {}
        #: Delivery tags of messages that went back into their queue.
        self._requeued: dict[Any, None] = {}
        self._reject = _InPlace(self, "basic_reject")
        self._ack = _InPlace(self, "basic_ack")

    def stay(self) -> None:
        """Replace ``basic_reject`` until :meth:`put_back`."""
        self.stays = True
        self._reject.put()

    def begin(self, message: Any, span: DeliverySpan, settle: Operation | None) -> None:
        """A message is at work that is to have a settle span, or that came through no client of ours."""
        at_work, tag = self.at_work, message.delivery_tag
        try:
            if at_work:
                keep_recent(at_work, tag, (span, settle), _HELD)
            else:
                at_work[tag] = (span, settle)
            methods = message.channel.__dict__
        except (AttributeError, TypeError):  # a tag without a hash, a channel that takes no attributes
            return
        if "basic_reject" in methods:
            self._reject.put()
        else:
            methods["basic_reject"] = self._reject  # flat, because each message that nobody wraps comes by
        if settle is not None:
            self._ack.put()

    def leave(self, message: Any) -> None:
        """The span of such a message has ended."""
        tag = message.delivery_tag
        at_work, reject = self.at_work, self._reject
        try:
            if at_work[tag][1] is not None:
                return  # its settle span is to come
            del at_work[tag]
            methods = message.channel.__dict__
        except (AttributeError, KeyError, TypeError):  # settled, or as above
            return
        if at_work or self.stays:
            return
        if methods.get("basic_reject") is reject and reject.before is None and "basic_ack" not in methods:
            del methods["basic_reject"]  # flat, as above
        else:
            self.put_back()

    def _settled(self, tag: Any) -> None:
        if self.at_work.pop(tag, None) is not None and not (self.at_work or self.stays):
            self.put_back()

    def put_back(self) -> None:
        """Leave the channel as it was, and whatever messages are still at work."""
        self.stays = False
        self.at_work.clear()
        self._reject.put_back()
        self._ack.put_back()

    def was_requeued(self, message: Any) -> bool:
        """Whether a message that was rejected went back into its queue. To be asked once."""
        try:
            return self._requeued.pop(message.delivery_tag, 0) is None
        except TypeError:
            return False

    def settle(self, name: str, call: Callable[..., Any], tag: Any, args: tuple[Any, ...], named: Any) -> Any:
        """Call ``basic_ack`` or ``basic_reject`` of the channel, in a settle span where those are asked for."""
        if not isinstance(tag, Hashable):
            return call(tag, *args, **named)
        requeue = name == "basic_reject" and (args[0] if args else named.get("requeue"))
        span, operation = self.at_work.get(tag, _NOBODY)
        if span is None or operation is None:
            result = call(tag, *args, **named)
        else:
            verb = "requeue" if requeue else name.removeprefix("basic_")
            system, endpoint, _ = self.broker
            with start_settle(operation, system, verb, [span], span.template.destination, endpoint, {}):
                result = call(tag, *args, **named)
        if requeue:
            keep_recent(self._requeued, tag, None, _UNASKED)
        else:
            self._requeued.pop(tag, None)  # what came back may have the tag that it had
        self._settled(tag)
        return result


class _InPlace:
    """What stands on a channel in the place of one of its methods. It does not keep the channel alive."""

    __slots__ = ("before", "channel", "name")

    def __init__(self, channel: Channel, name: str) -> None:
        self.channel = channel
        self.name = name
        #: What somebody else had put there.
        self.before: Callable[..., Any] | None = None

    def put(self) -> None:
        """Replace the method, unless it is."""
        methods = getattr(self.channel.is_of(), "__dict__", {})
        before = methods.get(self.name)
        if before is not self:
            self.before, methods[self.name] = before, self

    def put_back(self) -> None:
        """Put back what was there, unless somebody else has replaced it meanwhile."""
        methods = getattr(self.channel.is_of(), "__dict__", {})
        if methods.get(self.name) is not self:
            return
        if self.before is None:
            del methods[self.name]
        else:
            methods[self.name], self.before = self.before, None

    def __call__(self, delivery_tag: Any, *args: Any, **named: Any) -> Any:
        return self.channel.settle(self.name, self._method(), delivery_tag, args, named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method(), name)

    def __reduce__(self) -> Any:
        return getattr, (self.channel.is_of(), self.name)  # a copy of the channel has its own

    def _method(self) -> Any:
        channel = self.channel.is_of()
        return getattr(type(channel), self.name).__get__(channel) if self.before is None else self.before


# ---------------------------------------------------------------------- by the channel

_channels: Final[dict[int, Channel]] = {}


def _nobody() -> None:
    """No channel."""


def _forget(key: int) -> Callable[[object], None]:
    def forget(_: object) -> None:
        _channels.pop(key, None)

    return forget


#: Of a message without a channel, or with one that is closed or takes no weak reference.
_UNKNOWN: Final = Channel(UNKNOWN)


def channel_of(message: Any) -> Channel:
    """What is known of the channel of a message. Its broker is asked for once."""
    channel = message.channel
    found = _channels.get(id(channel))
    if found is not None and found.is_of() is channel:
        return found
    try:
        found = Channel(broker_of_connection(channel.connection.client), channel)
    except (AttributeError, TypeError):
        return _UNKNOWN
    _channels[id(channel)] = found
    return found


def leave_channel(channel: Any) -> None:
    """Leave a channel as it was before messages of it were traced."""
    found = _channels.get(id(channel))
    if found is not None and found.is_of() is channel:
        found.put_back()
