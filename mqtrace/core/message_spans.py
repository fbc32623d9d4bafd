"""Spans of messages: what a send, a process and a batch span have beyond a span.

No client's types: a client says what its report said, ``delivered`` or ``failed``, and adds attributes of its own
(``describe``, or a subclass with slots and ``extra_attributes``). How they are started: start_message.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from .attributes import Attribute, clean, weight_of
from .context import Context
from .details import Details, Link
from .noop import NoopSpan
from .span import LIGHT, SHORT_STATE, Span, hand_over

__all__ = [
    "LATENCY",
    "OFFSET",
    "PARTITION",
    "SENT",
    "SHORT_TEXTS",
    "BatchSpan",
    "DescribedProcess",
    "DescribedSend",
    "MessageSpan",
    "Origin",
    "ProcessSpan",
    "SendBatchSpan",
    "SendSpan",
    "note_skew",
]

PARTITION: Final = "messaging.destination.partition.id"
OFFSET: Final = "messaging.kafka.offset"
LATENCY: Final = "messaging.message.receive.latency"

#: What a send time begins with in a tracestate (mqtrace.messaging.send_time): its digits follow, ms since the epoch.
SENT: Final = "mqtrace=t:"

#: Characters that a span may keep without being weighed, whatever they are: a character takes up to four bytes.
SHORT_TEXTS: Final = LIGHT // 4

# Bytes that a message of a batch keeps: the tuple, the identity, the offset. A few of them are not weighed.
_ORIGIN: Final = 224
_FEW_LINKS: Final = 4
_NOTHING: Final[Mapping[str, Attribute]] = MappingProxyType({})


class MessageSpan(Span):
    """A span of one message of a log: a partition and an offset, -1 where they are not known."""

    __slots__ = ("offset", "partition")

    partition: int
    offset: int

    def own_attributes(self) -> Mapping[str, Attribute]:
        """Partition (a string, as the conventions want it) and offset (0 included)."""
        own: dict[str, Attribute] = {}
        if self.partition >= 0:
            own[PARTITION] = str(self.partition)
        if self.offset >= 0:
            own[OFFSET] = self.offset
        own.update(self.extra_attributes())
        return own

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """What a client adds to that: asked by whoever exports, so a subclass may keep it in slots as it came."""
        return _NOTHING

    def describe(self, attributes: Mapping[str, Attribute]) -> None:
        """Add attributes that the client knows of its message: valid ones, which nothing else on the span says.

        On the classes that have a slot for them the span stays as quick as it was; see :class:`DescribedSend`.
        """
        self.set_attributes(attributes)

    def weigh(self, *kept: object) -> None:
        """Count what a client keeps in slots of its own, where that is long: a sender's texts are as long as it likes.

        Of texts that have no more than :data:`SHORT_TEXTS` characters together nobody has to say anything.
        """
        details = self._details()
        if details is not None:
            details.weight += sum([one.__sizeof__() for one in kept])


class SendSpan(MessageSpan):
    """The span of a message on its way to the broker. Who learns what became of it calls delivered, or failed."""

    __slots__ = ()

    def delivered(self, partition: int = -1, offset: int = -1) -> None:
        """End the span of a message that the broker has. -1: it did not say where. A second report is ignored."""
        if self.ended:
            return
        template = self.template
        self.partition = partition
        self.offset = offset
        self.ended = template.now()
        sink = template.sink
        queue = sink.queue
        if (
            self.details is None
            and self.baggage is None
            and (self.state is None or len(self.state) <= SHORT_STATE)
            and len(queue) < sink.limit
        ):
            queue.append(self)
        else:
            hand_over(self)

    def failed(self, error_type: str, description: str) -> None:
        """End the span of a message that did not arrive, with ``error.type`` and why. A second report is ignored."""
        if self.ended:
            return
        self.set_attributes({"error.type": error_type})
        self.set_status("error", description)
        self.end()


class ProcessSpan(MessageSpan):
    """The span of a handler at work on one message."""

    __slots__ = ("origin", "timestamp")

    #: The identity that the message carried, or None.
    origin: bytes | None
    #: When the broker took the message, or the sender sent it: ms since the epoch; -1 where nobody says. Or the
    #: tracestate that says it, not yet read: that is a sixth of what a span costs, and the worker's part.
    timestamp: int | str

    def sent_at(self) -> int:
        """When the message was sent, ms since the epoch; -1 where nobody says. Counts a message from the future."""
        sent = self.timestamp
        if isinstance(sent, str):
            digits = sent[len(SENT) :]
            sent = self.timestamp = int(digits) if digits.isascii() and digits.isdigit() else -1
            note_skew(self, sent)
        return sent

    def latency(self) -> float | None:
        """How long the message waited, ms: to the start of this span, by two machines' clocks, so never below 0."""
        sent = self.sent_at()
        if sent < 0:
            return None
        waited = self.start_time / 1e6 - sent
        return waited if waited > 0 else 0.0

    def own_attributes(self) -> Mapping[str, Attribute]:
        """Partition, offset and the time in the queue."""
        own = dict(super().own_attributes())
        latency = self.latency()
        if latency is not None:
            own[LATENCY] = latency
        return own

    def own_links(self) -> Iterator[Link]:
        """The message's own context."""
        if self.origin is not None:
            yield Link(Context(self.origin), {})


P = TypeVar("P", bound=ProcessSpan)

# ---------------------------------------------------------------------- what a client adds


class _Described(MessageSpan):
    __slots__ = ()

    extra: Mapping[str, Attribute]

    def describe(self, attributes: Mapping[str, Attribute]) -> None:
        """Keep them in the slot; long ones, and those under a limit of length, as ``set_attributes`` does. Once."""
        if _are_short(attributes) and self.template.pipeline.limits.value_length is None:
            self.extra = attributes  # type: ignore[misc]  # the subclasses have the slot
        else:
            self.set_attributes(attributes)

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """What :meth:`describe` was given."""
        return getattr(self, "extra", _NOTHING)


class DescribedSend(_Described, SendSpan):
    """A send span with attributes of its own message: of a class of its own, since a slot that is empty weighs too.

    An optional attribute is one line where the message is at hand: ``start_send(template, DescribedSend)``, then
    ``span.describe({KEY: key})``. Neither the end nor the encoding of the span takes the long way for it.
    """

    __slots__ = ("extra",)


class DescribedProcess(_Described, ProcessSpan):
    """The same of a process span."""

    __slots__ = ("extra",)


def _are_short(attributes: Mapping[str, Attribute]) -> bool:
    """Whether their texts are no more than a span may keep without being weighed."""
    length = 0
    for value in attributes.values():
        if type(value) is str or type(value) is bytes:
            length += len(value)
        elif type(value) is tuple:
            return False
    return length <= SHORT_TEXTS


# ---------------------------------------------------------------------- batches

#: A message of a batch: its identity, partition, offset, and the other attributes that are its own.
Origin = tuple[bytes, int, int, Mapping[str, Attribute] | None]


class BatchSpan(Span):
    """The span of a batch: a link to every message."""

    __slots__ = ("origins",)

    origins: Sequence[Origin]
    #: Whether the messages' spans are of another process, or may be.
    remote_origins: bool = True

    def link_to(self, origins: Sequence[Origin]) -> None:
        """Link to these messages; what is said of each is cut to the length limit."""
        length = self.template.pipeline.limits.value_length
        self.origins = origins if length is None else [_cut(origin, length) for origin in origins]

    def end(self, end_time: int | None = None) -> None:
        """End the span, which weighs what its links do."""
        if not self.ended:
            count = len(self.origins)
            weight = sum([weight_of(extra) for _, _, _, extra in self.origins if extra])
            if count > _FEW_LINKS or weight > LIGHT * _FEW_LINKS:
                details = self.details = self.details if isinstance(self.details, Details) else Details()
                details.weight += _ORIGIN * count + weight
        super().end(end_time)

    def own_links(self) -> Iterator[Link]:
        """Every message's context; what varies within the batch is on the link."""
        for origin, partition, offset, extra in self.origins:
            own: dict[str, Attribute] = dict(extra or {})
            if partition >= 0:
                own[PARTITION] = str(partition)
            if offset >= 0:
                own[OFFSET] = offset
            remote = self.remote_origins
            yield Link(Context(origin, remote=remote), own, 0, remote)


class SendBatchSpan(BatchSpan):
    """The span of a batch on its way to the broker: a link to the create span of every message."""

    __slots__ = ()

    remote_origins = False


def _cut(origin: Origin, length: int) -> Origin:
    identity, partition, offset, extra = origin
    if not extra:
        return origin
    kept = {key: good for key, value in extra.items() if (good := clean(value, length)) is not None}
    return identity, partition, offset, kept


def note_skew(span: P | NoopSpan, sent: int) -> P | NoopSpan:
    """Count a message that was read before it was sent, by the two machines' clocks: its time in the queue is 0.

    ``sent``: ms since the epoch. Returns the span.
    """
    if isinstance(span, ProcessSpan):
        pipeline = span.template.pipeline
        if sent * 1_000_000 > span.begun_ns + pipeline.clock.offset:
            pipeline.counters.clock_skew += 1
    return span
