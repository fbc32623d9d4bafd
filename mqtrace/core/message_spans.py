"""Spans of messages: what a send, a process and a batch span have beyond a span.

No types of a client are used here. A client calls ``delivered`` or ``failed`` when it has the broker's report, and adds
attributes by ``describe``, or by a subclass with slots and ``extra_attributes``. start_message.py starts the spans.
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

#: The beginning of a send time in a tracestate (mqtrace.messaging.send_time); digits follow, ms since the epoch.
SENT: Final = "mqtrace=t:"

#: Characters that a span may keep without being weighed: a character takes up to four bytes.
SHORT_TEXTS: Final = LIGHT // 4

# Bytes that a message of a batch keeps: the tuple, the identity, the offset. A few messages are not weighed.
_ORIGIN: Final = 224
_FEW_LINKS: Final = 4
_NOTHING: Final[Mapping[str, Attribute]] = MappingProxyType({})


class MessageSpan(Span):
    """A span of one message. ``partition`` and ``offset``: -1 if unknown."""

    __slots__ = ("offset", "partition")

    partition: int
    offset: int

    def slot_attributes(self) -> Mapping[str, Attribute]:
        """Partition (a string, as the conventions want it) and offset (0 included)."""
        attributes: dict[str, Attribute] = {}
        if self.partition >= 0:
            attributes[PARTITION] = str(self.partition)
        if self.offset >= 0:
            attributes[OFFSET] = self.offset
        attributes.update(self.extra_attributes())
        return attributes

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """Attributes that a client adds. The exporter calls this, so a subclass may keep raw values in slots."""
        return _NOTHING

    def describe(self, attributes: Mapping[str, Attribute]) -> None:
        """Add attributes of the message: valid ones, with keys that are not on the span yet.

        The classes with a slot for them keep the span quick; see :class:`DescribedSend`.
        """
        self.set_attributes(attributes)

    def weigh(self, *values: object) -> None:
        """Add the weight of values in a client's slots: a sender's texts may be of any length.

        Not needed for texts of no more than :data:`SHORT_TEXTS` characters together.
        """
        details = self._details()
        if details is not None:
            details.weight += sum([value.__sizeof__() for value in values])


class SendSpan(MessageSpan):
    """The span of a message on its way to the broker. The broker's report calls ``delivered`` or ``failed``."""

    __slots__ = ()

    def delivered(self, partition: int = -1, offset: int = -1) -> None:
        """End the span: the broker has the message. -1: unknown. A second report is ignored."""
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
        """End the span of a message that did not arrive, as an error. A second report is ignored."""
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
    #: When the broker took the message, or the sender sent it: ms since the epoch; -1 if unknown. Or the tracestate
    #: with that time: reading it is a sixth of a span's cost, and left to the worker.
    timestamp: int | str

    def sent_at(self) -> int:
        """When the message was sent, ms since the epoch; -1 if unknown. Counts a message from the future."""
        sent_ms = self.timestamp
        if isinstance(sent_ms, str):
            digits = sent_ms[len(SENT) :]
            sent_ms = self.timestamp = int(digits) if digits.isascii() and digits.isdigit() else -1
            note_skew(self, sent_ms)
        return sent_ms

    def latency(self) -> float | None:
        """How long the message waited until the start of this span, ms. By two machines' clocks; at least 0."""
        sent_ms = self.sent_at()
        if sent_ms < 0:
            return None
        waited_ms = self.start_time / 1e6 - sent_ms
        return waited_ms if waited_ms > 0 else 0.0

    def slot_attributes(self) -> Mapping[str, Attribute]:
        """Partition, offset and the time in the queue."""
        attributes = dict(super().slot_attributes())
        latency_ms = self.latency()
        if latency_ms is not None:
            attributes[LATENCY] = latency_ms
        return attributes

    def slot_links(self) -> Iterator[Link]:
        """A link to the message's context."""
        if self.origin is not None:
            yield Link(Context(self.origin), {})


P = TypeVar("P", bound=ProcessSpan)

# ---------------------------------------------------------------------- attributes of a client


class _Described(MessageSpan):
    __slots__ = ()

    extra: Mapping[str, Attribute]

    def describe(self, attributes: Mapping[str, Attribute]) -> None:
        """Keep these in the slot, once. Long ones, or any if lengths are limited, go to ``set_attributes``."""
        if _are_short(attributes) and self.template.pipeline.limits.value_length is None:
            self.extra = attributes  # type: ignore[misc]  # the subclasses have the slot
        else:
            self.set_attributes(attributes)

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """The argument of :meth:`describe`."""
        return getattr(self, "extra", _NOTHING)


class DescribedSend(_Described, SendSpan):
    """A send span with a slot for attributes of its message: a class of its own, because empty slots take memory.

    An optional attribute is ``start_send(template, DescribedSend)``, then ``span.describe({KEY: key})``. The end and
    the encoding of the span stay on the fast path.
    """

    __slots__ = ("extra",)


class DescribedProcess(_Described, ProcessSpan):
    """The same of a process span."""

    __slots__ = ("extra",)


def _are_short(attributes: Mapping[str, Attribute]) -> bool:
    """Whether a span may keep their texts without being weighed."""
    length = 0
    for value in attributes.values():
        if type(value) is str or type(value) is bytes:
            length += len(value)
        elif type(value) is tuple:
            return False
    return length <= SHORT_TEXTS


# ---------------------------------------------------------------------- batches

#: A message of a batch: its identity, partition, offset, and other attributes of its link.
Origin = tuple[bytes, int, int, Mapping[str, Attribute] | None]


class BatchSpan(Span):
    """The span of a batch: a link to every message."""

    __slots__ = ("origins",)

    origins: Sequence[Origin]
    #: Whether the messages' spans are, or may be, another process's.
    remote_origins: bool = True

    def link_to(self, origins: Sequence[Origin]) -> None:
        """Link to these messages; attributes of the links are cut to the length limit."""
        length = self.template.pipeline.limits.value_length
        self.origins = origins if length is None else [_cut(origin, length) for origin in origins]

    def end(self, end_time: int | None = None) -> None:
        """End the span, and add the weight of its links."""
        if not self.ended:
            count = len(self.origins)
            weight = sum([weight_of(extra) for _, _, _, extra in self.origins if extra])
            if count > _FEW_LINKS or weight > LIGHT * _FEW_LINKS:
                details = self.details = self.details if isinstance(self.details, Details) else Details()
                details.weight += _ORIGIN * count + weight
        super().end(end_time)

    def slot_links(self) -> Iterator[Link]:
        """A link to every message's context, with the attributes that differ within the batch."""
        for origin, partition, offset, extra in self.origins:
            attributes: dict[str, Attribute] = dict(extra or {})
            if partition >= 0:
                attributes[PARTITION] = str(partition)
            if offset >= 0:
                attributes[OFFSET] = offset
            remote = self.remote_origins
            yield Link(Context(origin, remote=remote), attributes, 0, remote)


class SendBatchSpan(BatchSpan):
    """The span of a batch on its way to the broker: a link to the create span of every message."""

    __slots__ = ()

    remote_origins = False


def _cut(origin: Origin, length: int) -> Origin:
    identity, partition, offset, extra = origin
    if not extra:
        return origin
    cut = {key: cleaned for key, value in extra.items() if (cleaned := clean(value, length)) is not None}
    return identity, partition, offset, cut


def note_skew(span: P | NoopSpan, sent_ms: int) -> P | NoopSpan:
    """Count a message that was read before it was sent, by two machines' clocks: its time in the queue is 0.

    ``sent_ms``: since the epoch. Returns the span.
    """
    if isinstance(span, ProcessSpan):
        pipeline = span.template.pipeline
        if sent_ms * 1_000_000 > span.begun_ns + pipeline.clock.offset:
            pipeline.counters.clock_skew += 1
    return span
