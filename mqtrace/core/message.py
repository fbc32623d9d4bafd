"""The hot path: spans of messages, and how they start and end.

Everything here runs once a message, in the user's thread, so it is flat on purpose: a call costs 50 ns, an attribute
dict with a lock more than half a span. What is not the common case leaves for :mod:`mqtrace.core.decide` at the first
line that can tell. This is the seam below which a compiled core may slide in; the names it has to offer are those that
``mqtrace.core`` exports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, overload

from . import decide, identity
from .attributes import Attribute, weight_of
from .context import Context
from .current import innermost_frame, still_open
from .details import Details, Link
from .noop import NoopSpan
from .span import SHORT_STATE, Span, hand_over
from .template import Template

__all__ = [
    "BatchSpan",
    "Origin",
    "ProcessSpan",
    "SendSpan",
    "note_skew",
    "start_process",
    "start_process_from",
    "start_process_in",
    "start_send",
]

PARTITION: Final = "messaging.destination.partition.id"
OFFSET: Final = "messaging.kafka.offset"
LATENCY: Final = "messaging.message.receive.latency"

#: What a tracestate that is nothing but a send time begins with (mqtrace.send_time). From 2001 to 2286 the time, ms
#: since the epoch, has thirteen digits: so such a state lies between these two.
SENT: Final = "mqtrace=t:"
_EARLIEST: Final = f"{SENT}1{'0' * 12}"
_LATEST: Final = f"{SENT}{'9' * 13}"
_SENT_LENGTH: Final = len(_LATEST)

_current = innermost_frame
_pop_span = identity._spans.pop
_refill_spans = identity._refill_spans
# Bytes that a message of a batch keeps: the tuple, the identity, the offset. A few of them are not weighed.
_ORIGIN: Final = 224
_FEW_LINKS: Final = 4

_is_canonical = identity.is_canonical
child_of = identity.child_of


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
        own.update(self.further())
        return own

    def further(self) -> Mapping[str, Attribute]:
        """What a client's own class of span has to say beyond that."""
        return {}


class SendSpan(MessageSpan):
    """The span of a message on its way to the broker. It is its own delivery callback.

    librdkafka keeps it until the report: a closure or a partial a message would cost 15 to 35 % more.
    """

    __slots__ = ("callback",)

    #: The user's delivery callback, called after the span has ended.
    callback: Callable[[Any, Any], object] | None

    def __call__(self, error: Any, message: Any) -> None:
        """The delivery report: a KafkaError or None, and the message."""
        try:
            if not self.ended:
                template = self.template
                if error is None:
                    self.partition = message.partition()
                    self.offset = message.offset()
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
                else:
                    decide.undelivered(self, error)
        finally:  # a signal's handler may raise in any line above; the user's report comes all the same
            callback = self.callback
            if callback is not None:
                self.callback = None
                callback(error, message)


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


S = TypeVar("S", bound=SendSpan)
P = TypeVar("P", bound=ProcessSpan)

#: A message of a batch: its identity, partition, offset, and the other attributes that are its own.
Origin = tuple[bytes, int, int, Mapping[str, Attribute] | None]


class BatchSpan(Span):
    """The span of a batch: a link to every message."""

    __slots__ = ("origins",)

    origins: Sequence[Origin]

    def end(self, end_time: int | None = None) -> None:
        """End the span, which weighs what its links do."""
        if not self.ended and len(self.origins) > _FEW_LINKS:
            if self.details is None:
                self.details = Details()
            own = [weight_of(further) for _, _, _, further in self.origins if further]
            self.details.weight += _ORIGIN * len(self.origins) + sum(own)
        super().end(end_time)

    def own_links(self) -> Iterator[Link]:
        """Every message's context; what varies within the batch is on the link."""
        for origin, partition, offset, further in self.origins:
            own: dict[str, Attribute] = dict(further or {})
            if partition >= 0:
                own[PARTITION] = str(partition)
            if offset >= 0:
                own[OFFSET] = offset
            yield Link(Context(origin), own)


@overload
def start_send(template: Template) -> SendSpan | bytes | NoopSpan | None: ...
@overload
def start_send(template: Template, make: type[S]) -> S | bytes | NoopSpan | None: ...
def start_send(template: Template, make: type[SendSpan] = SendSpan) -> SendSpan | bytes | NoopSpan | None:
    """Start the span of a message that is about to be sent, below what is current.

    Where the trace is not sampled its context still goes into the message: the traceparent, or a no-op span where there
    is more to the context than that. None where there is nothing to put into it. ``make``: its class; what that has
    more, the caller sets.
    """
    parent = _current()
    if not template.follows_parent_only or (parent is not None and parent.ended):
        parent = still_open(parent)
        if template.propagate_only and parent is None:
            return None
        return decide.start_send(template, parent, make)
    if parent is None or (above := parent.identity) is None:
        roots = template.roots
        if roots is None or parent is not None:
            return decide.start_send(template, parent, make)
        try:
            own = roots.pop()
        except IndexError:
            own = roots.refill()
        if not own[54] & 1:
            return own
        span = make()
        span.parent = None
        span.parent_remote = False
        span.state = template.root_state
        span.baggage = None
    else:
        try:
            own = above[:36] + _pop_span() + above[52:]
        except IndexError:
            own = above[:36] + _refill_spans() + above[52:]
        if not own[54] & 1:
            if parent.decision != "flag":  # it left the decision open
                return decide.start_send(template, parent, make)
            if parent.state is None and parent.baggage is None:
                return own
            return NoopSpan(own, parent.state, parent.baggage)
        span = make()
        span.parent = above
        span.parent_remote = parent.remote
        span.state = parent.state
        span.baggage = parent.baggage
    span.identity = own
    span.template = template
    span.ended = 0
    span.details = None
    span.partition = span.offset = -1
    span.callback = None
    span.begun_ns = template.now()
    return span


def start_process(
    template: Template,
    origin: bytes | None,
    state: str | None,
    baggage: Mapping[str, str] | None,
    partition: int,
    offset: int,
    timestamp: int | str,
    make: type[P] = ProcessSpan,  # type: ignore[assignment]  # the default stands for P left open
) -> P | NoopSpan:
    """Start the span of the handler of one message, below the message's context (``origin``, ``state``, ``baggage``).

    It is not current yet: the caller sets it, and restores. ``make``: its class; what that has more, the caller sets.
    """
    outer = _current()
    if origin is not None and outer is None and template.follows_parent_only:
        if not origin[54] & 1:
            return NoopSpan(child_of(origin), state, baggage)
        span = make()
        span.parent = span.origin = origin
        try:
            span.identity = origin[:36] + _pop_span() + origin[52:]
        except IndexError:
            span.identity = origin[:36] + _refill_spans() + origin[52:]
        span.template = template
        span.parent_remote = True
        span.state = state
        span.baggage = baggage
        span.ended = 0
        span.details = None
        span.token = None
        span.partition = partition
        span.offset = offset
        span.timestamp = timestamp
        span.begun_ns = template.now()
        return span
    if template.propagate_only and outer is None and origin is not None:
        return NoopSpan(origin, state, baggage)
    return start_process_in(template, Context(origin, state, baggage), partition, offset, timestamp, make)


def start_process_from(template: Template, headers: Mapping[Any, Any], make: type[P]) -> P | NoopSpan | None:
    """The same below the context in W3C headers, as nearly every message has it: a traceparent and a send time.

    None where a propagator has to read them: a traceparent that is not as we write it, baggage, another tracestate.
    """
    if "baggage" in headers:
        return None
    text = headers.get("traceparent")
    if type(text) is not str:
        if text is None and "traceparent" not in headers:  # no context
            return start_process(template, None, None, None, -1, -1, -1, make)
        return None
    origin = text.encode("utf-8", "replace")
    if not _is_canonical(origin):
        return None
    sent: int | str = -1
    state = headers.get("tracestate")
    if type(state) is str:
        # nothing but a send time; whether it is a good one is seen when it is read
        if not (_EARLIEST <= state <= _LATEST and len(state) == _SENT_LENGTH) or "," in state:
            return None
        sent = state
    elif state is not None or "tracestate" in headers:
        return None
    return start_process(template, origin, None, None, -1, -1, sent, make)


def note_skew(span: P | NoopSpan, sent: int) -> P | NoopSpan:
    """Count a message that was read before it was sent, by the two machines' clocks: its time in the queue is 0.

    ``sent``: ms since the epoch. Gives the span.
    """
    if isinstance(span, ProcessSpan):
        pipeline = span.template.pipeline
        if sent * 1_000_000 > span.begun_ns + pipeline.clock.offset:
            pipeline.counters.clock_skew += 1
    return span


def start_process_in(
    template: Template,
    context: Context,
    partition: int,
    offset: int,
    timestamp: int | str,
    make: type[P] = ProcessSpan,  # type: ignore[assignment]  # as above
) -> P | NoopSpan:
    """The same for every other case: no context, a decision that was left open, another span around, a relation."""
    span = decide.start_process_below(template, still_open(_current()), context, make)
    if isinstance(span, ProcessSpan):
        span.origin = context.identity
        span.partition = partition
        span.offset = offset
        span.timestamp = timestamp
    return span
