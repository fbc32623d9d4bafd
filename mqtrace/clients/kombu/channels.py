"""The channel of a message: its broker, and what becomes of its messages.

A message keeps little of that: ``reject(requeue=True)`` leaves it as ``reject()`` does. Only the call of its channel
shows the difference. So the methods that settle are replaced on the channel: of a traced consumer until it is
unwrapped, of any other while one of its messages is processed, with settle spans until that is settled. Nothing is put
into the message, which an application may copy or serialize.
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

__all__ = ["TrackedChannel", "restore_channel", "tracked_channel"]

# How many messages that are not settled are kept: beyond that, the outcomes of the oldest are not noted.
_IN_PROCESS: Final = 65536
# How many requeued messages are kept whose span had ended before, so that nothing reads them.
_REQUEUED: Final = 1024
_NO_SPAN: Final = (None, None)


class TrackedChannel:
    """A channel, its broker, and those of its messages that are in process or were requeued."""

    __slots__ = ("_ack", "_reject", "_requeued", "broker", "channel", "in_process", "keeps_reject")

    def __init__(self, broker: Broker, channel: Any = None) -> None:
        self.broker = broker
        #: A weak reference to the channel; returns None if that is gone.
        self.channel: Callable[[], Any] = _no_channel if channel is None else ref(channel, _forget(id(channel)))
        #: Whether ``basic_reject`` stays replaced. To replace it for each message would make kombu's own calls of the
        #: channel slower, because the interpreter has to look up its attributes again: 2 of 40 us a message.
        self.keeps_reject = False
        #: By delivery tag: the process span of a message, and the operation of its settle span or None.
        self.in_process: dict[Any, tuple[DeliverySpan, Operation | None]] = {}
        #: Delivery tags of messages that went back into their queue.
        self._requeued: dict[Any, None] = {}
        self._reject = _Replacement(self, "basic_reject")
        self._ack = _Replacement(self, "basic_ack")

    def keep_reject(self) -> None:
        """Replace ``basic_reject`` until :meth:`put_back`."""
        self.keeps_reject = True
        self._reject.put()

    def begin(self, message: Any, span: DeliverySpan, settle: Operation | None) -> None:
        """Note a message in process that is to have a settle span, or that was not read by a client of ours."""
        in_process, tag = self.in_process, message.delivery_tag
        try:
            if in_process:
                keep_recent(in_process, tag, (span, settle), _IN_PROCESS)
            else:
                in_process[tag] = (span, settle)
            methods = message.channel.__dict__
        except (AttributeError, TypeError):  # a tag without a hash, a channel that takes no attributes
            return
        if "basic_reject" in methods:
            self._reject.put()
        else:
            methods["basic_reject"] = self._reject  # flat: it runs for each message of a client that is not wrapped
        if settle is not None:
            self._ack.put()

    def end(self, message: Any) -> None:
        """Note that the process span of such a message has ended."""
        tag = message.delivery_tag
        in_process, reject = self.in_process, self._reject
        try:
            if in_process[tag][1] is not None:
                return  # its settle span is to come
            del in_process[tag]
            methods = message.channel.__dict__
        except (AttributeError, KeyError, TypeError):  # settled, or as above
            return
        if in_process or self.keeps_reject:
            return
        if methods.get("basic_reject") is reject and reject.before is None and "basic_ack" not in methods:
            del methods["basic_reject"]  # flat, as above
        else:
            self.put_back()

    def put_back(self) -> None:
        """Leave the channel as it was, whatever messages are still in process."""
        self.keeps_reject = False
        self.in_process.clear()
        self._reject.put_back()
        self._ack.put_back()

    def pop_requeued(self, message: Any) -> bool:
        """Whether a message that was rejected went back into its queue. True only once."""
        try:
            return self._requeued.pop(message.delivery_tag, 0) is None
        except TypeError:
            return False

    def settle(self, name: str, call: Callable[..., Any], tag: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Call ``basic_ack`` or ``basic_reject`` of the channel, in a settle span if those are wanted."""
        if not isinstance(tag, Hashable):
            return call(tag, *args, **kwargs)
        requeue = name == "basic_reject" and (args[0] if args else kwargs.get("requeue"))
        span, operation = self.in_process.get(tag, _NO_SPAN)
        if span is None or operation is None:
            result = call(tag, *args, **kwargs)
        else:
            verb = "requeue" if requeue else name.removeprefix("basic_")
            system, endpoint, _ = self.broker
            with start_settle(operation, system, verb, [span], span.template.destination, endpoint, {}):
                result = call(tag, *args, **kwargs)
        if requeue:
            keep_recent(self._requeued, tag, None, _REQUEUED)
        else:
            self._requeued.pop(tag, None)  # a message that came back may have the same tag again
        if self.in_process.pop(tag, None) is not None and not (self.in_process or self.keeps_reject):
            self.put_back()
        return result


class _Replacement:
    """A callable that replaces a method of a channel. It does not keep the channel alive."""

    __slots__ = ("before", "name", "tracked")

    def __init__(self, tracked: TrackedChannel, name: str) -> None:
        self.tracked = tracked
        self.name = name
        #: What the channel had in this place, if it was not its class's method.
        self.before: Callable[..., Any] | None = None

    def put(self) -> None:
        """Replace the method, unless it is replaced."""
        methods = getattr(self.tracked.channel(), "__dict__", {})
        before = methods.get(self.name)
        if before is not self:
            self.before, methods[self.name] = before, self

    def put_back(self) -> None:
        """Put back what was there, unless another library has replaced it meanwhile."""
        methods = getattr(self.tracked.channel(), "__dict__", {})
        if methods.get(self.name) is not self:
            return
        if self.before is None:
            del methods[self.name]
        else:
            methods[self.name], self.before = self.before, None

    def __call__(self, delivery_tag: Any, *args: Any, **kwargs: Any) -> Any:
        return self.tracked.settle(self.name, self._method(), delivery_tag, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method(), name)

    def __reduce__(self) -> Any:
        return getattr, (self.tracked.channel(), self.name)  # a copy of the channel has its own

    def _method(self) -> Any:
        channel = self.tracked.channel()
        return getattr(type(channel), self.name).__get__(channel) if self.before is None else self.before


# ---------------------------------------------------------------------- by the channel

_tracked: Final[dict[int, TrackedChannel]] = {}


def _no_channel() -> None:
    """No channel."""


def _forget(key: int) -> Callable[[object], None]:
    def forget(_: object) -> None:
        _tracked.pop(key, None)

    return forget


#: Of a message without a channel, or with one that is closed or takes no weak reference.
_UNKNOWN: Final = TrackedChannel(UNKNOWN)


def tracked_channel(message: Any) -> TrackedChannel:
    """The tracked channel of a message. Its broker is looked up once."""
    channel = message.channel
    tracked = _tracked.get(id(channel))
    if tracked is not None and tracked.channel() is channel:
        return tracked
    try:
        tracked = TrackedChannel(broker_of_connection(channel.connection.client), channel)
    except (AttributeError, TypeError):
        return _UNKNOWN
    _tracked[id(channel)] = tracked
    return tracked


def restore_channel(channel: Any) -> None:
    """Leave a channel as it was before messages of it were traced."""
    tracked = _tracked.get(id(channel))
    if tracked is not None and tracked.channel() is channel:
        tracked.put_back()
