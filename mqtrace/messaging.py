"""What every client shares: the facts of an operation, its templates, and the context in a message's headers.

A client file maps native calls to these. An :class:`Operation` is made once for a wrapped client or a handler; it
gives the :class:`~mqtrace.core.Template` of each destination, and follows the default tracer when that is replaced.

Names and attributes: OpenTelemetry semantic conventions 1.44, messaging.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol
from weakref import WeakSet

from . import send_time
from . import tracer as tracers
from .carriers import Carrier
from .core import (
    Attribute,
    BatchSpan,
    Context,
    ForkSafeLock,
    Kind,
    NoopSpan,
    Origin,
    Relation,
    Span,
    Template,
    current_frame,
    keep_recent,
    open_frames,
    restore,
    start,
)
from .tracer import SpanTracer

__all__ = [
    "DESTINATION",
    "Batch",
    "Facts",
    "MessageAdapter",
    "Operation",
    "carry",
    "close",
    "end",
    "forget",
    "register",
    "register_part",
    "start_batch",
]

#: Of a span, or of a link where a batch has several.
DESTINATION: Final = "messaging.destination.name"

#: `messaging.operation.type`.
OperationType = Literal["create", "send", "receive", "process", "settle"]

_KINDS: Final[Mapping[OperationType, Kind]] = {
    "create": "producer",
    "send": "producer",
    "receive": "client",
    "process": "consumer",
    "settle": "client",
}
# A client that makes up destinations (a reply queue a request) must not make the process grow.
_DESTINATIONS: Final = 2048


class Facts(NamedTuple):
    """What a client knows of itself. Each may be None: then its attribute is left out."""

    client_id: str | None = None
    group: str | None = None
    address: str | None = None
    port: int | None = None

    def attributes(self) -> Mapping[str, Attribute]:
        """As attributes of a span."""
        named: dict[str, Attribute | None] = {
            "messaging.client.id": self.client_id,
            "messaging.consumer.group.name": self.group,
            "server.address": self.address,
            "server.port": self.port,
        }
        return {key: value for key, value in named.items() if value is not None}


#: Of a client that says nothing of itself.
NOTHING_KNOWN: Final = Facts()


class Operation:
    """One operation of one client or handler. ``templates`` is what the hot path looks into; ``make`` fills it.

    ``tracer``: whose spans it makes; None: the default tracer's, whichever that is. ``name``: the whole span name,
    where the user gave one. ``relation``: of a process span to its message; None: as the tracer was configured.
    """

    __slots__ = ("__weakref__", "_bound", "_guard", "direct", "name", "relation", "templates", "tracer", "verb")

    #: By what the client looks up: a topic, or an exchange and routing key.
    templates: dict[Hashable, Template]
    #: The tracer that the templates are of.
    tracer: SpanTracer
    #: Whether a message needs nothing but W3C headers, so that a client may write and read them by itself.
    direct: bool

    def __init__(
        self,
        verb: str,
        tracer: SpanTracer | None = None,
        *,
        relation: Relation | None = None,
        name: str | None = None,
    ) -> None:
        self.verb = verb
        self.name = name
        self.relation: Relation | None = relation
        self._bound = tracer is not None
        self._guard = ForkSafeLock()
        with _registering.lock:
            _operations.add(self)
        self._follow(tracers.default() if tracer is None else tracer)
        if tracer is None:
            tracers.follow(self)
            # configure() may have run between the two lines above
            self.follow(tracers.default())

    def follow(self, tracer: SpanTracer) -> None:
        """Make the spans of another default tracer from now on."""
        if not self._bound and tracer is not self.tracer:
            self._follow(tracer)

    def _follow(self, tracer: SpanTracer) -> None:
        with self._guard.lock:
            self.tracer = tracer
            self.direct = tracer.propagator.is_w3c
            self.templates = {}

    def forget(self, key: Hashable) -> None:
        """Drop a template: what it says of its destination no longer holds."""
        with self._guard.lock:
            self.templates.pop(key, None)

    def make(
        self,
        key: Hashable | None,
        system: str,
        type: OperationType,
        destination: str | None,
        facts: Facts = NOTHING_KNOWN,
        extra: Mapping[str, Attribute] | None = None,
        *,
        kind: Kind | None = None,
        verb: str | None = None,
    ) -> Template:
        """The template of a destination, kept under ``key`` unless that is None."""
        verb = verb or self.verb
        attributes: dict[str, Attribute] = {
            "messaging.system": system,
            "messaging.operation.name": verb,
            "messaging.operation.type": type,
        }
        if destination is not None:
            attributes[DESTINATION] = destination
        attributes.update(facts.attributes())
        attributes.update(extra or {})
        name = self.name or (verb if destination is None else f"{verb} {destination}")
        with self._guard.lock:
            template = self.tracer.template(
                name, kind or _KINDS[type], attributes, destination=destination, relation=self.relation
            )
            if key is not None and not template.weight:
                keep_recent(self.templates, key, template, _DESTINATIONS)
        return template


#: Every operation there is. Reentrant: a signal handler may wrap a client while another one is wrapped.
_operations: WeakSet[Operation] = WeakSet()
_registering = ForkSafeLock()


def forget(keys: Iterable[Hashable]) -> None:
    """Drop the templates of these keys in every operation, of whatever tracer: what they say no longer holds."""
    with _registering.lock:
        operations = list(_operations)
    for key in keys:
        for operation in operations:
            operation.forget(key)


class Batch(NamedTuple):
    """What an adapter read from the messages of one batch."""

    system: str
    #: The destination of all of them, or None where there are several.
    destination: str | None
    #: How many messages, those without a context too.
    size: int
    origins: Sequence[Origin]
    facts: Facts
    extra: Mapping[str, Attribute]


class MessageAdapter(Protocol):
    """What a client file says of its messages."""

    def begin(self, operation: Operation, message: Any) -> Span | NoopSpan | None:
        """Start the process span of a message; None for what is no message: an event, a partition's end."""

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch; None where there is no message in it."""


_adapters: dict[type, MessageAdapter] = {}


def register(message: type, adapter: MessageAdapter) -> None:
    """Say that objects of this type are messages. For client files."""
    _adapters[message] = adapter


#: Types of messages that have been registered; read by mqtrace.consume once a message.
adapters: Final[Mapping[type, MessageAdapter]] = _adapters

_parts: dict[type, MessageAdapter] = {}


def register_part(part: type, adapter: MessageAdapter) -> None:
    """Say that a message is a tuple, or a handler's arguments, with an object of this type among them.

    Its adapter is given the whole tuple. For client files.
    """
    _parts[part] = adapter


#: Types of such parts that have been registered.
parts: Final[Mapping[type, MessageAdapter]] = _parts


def start_batch(operation: Operation, batch: Batch) -> Span | NoopSpan:
    """The span of a batch, with a link to every message's context. It is not current yet."""
    key = ("batch", batch.system, batch.destination, batch.facts)
    template = operation.templates.get(key)
    if template is None:
        template = operation.make(key, batch.system, "process", batch.destination, batch.facts, batch.extra)
    span = start(template, current_frame(), BatchSpan)
    if isinstance(span, BatchSpan):
        span.origins = batch.origins
        span.set_attributes({"messaging.batch.message_count": batch.size})
    return span


def carry(tracer: SpanTracer, span: Span | NoopSpan, carrier: Carrier, sent_ms: int | None = None) -> bool:
    """Put the context of a send span into a message's headers, unless the user put a valid one there.

    The user's is kept as it is, and the span links to it and becomes a CLIENT span (conventions, "Context
    propagation"). A malformed one is replaced, and so is one of ours: then a received message is relayed with its
    headers, and this hop is below what is current. Ours is told from a user's by its send time or, where the broker
    keeps the time, by its being the context of a message that is handled here. Where nothing is current, the message
    stays in the trace that it came with, and the send time is this hop's.

    ``carrier``: over a copy of the user's headers. ``sent_ms``: when the message is sent, ms since the epoch, written
    where a tracestate is; None: its broker keeps the time. Returns whether anything was written.
    """
    propagator = tracer.propagator
    theirs = propagator.extract(carrier, Context(), None)
    passed_on, sent_before = send_time.take(theirs.state)
    relayed = theirs.identity is not None and (sent_before != send_time.UNKNOWN or _is_handled_here(theirs.identity))
    if theirs.identity is not None and not (relayed and _is_within_a_trace()):
        if isinstance(span, Span):
            span.template = span.template.as_client()
            span.add_link(theirs)
        if relayed:
            _write_state(carrier, passed_on if sent_ms is None else send_time.stamp(passed_on, sent_ms))
        return relayed
    baggage = span.baggage
    if relayed:
        if isinstance(span, Span) and theirs.trace_id != span.trace_id:
            span.add_link(theirs)
        for field in propagator.fields:
            if field != "baggage":
                carrier.remove(field)
        baggage = {**(theirs.baggage or {}), **(baggage or {})} or None
    elif theirs.baggage is not None:
        # The user's own baggage header stays; ours is what the context adds to it.
        baggage = {**(baggage or {}), **theirs.baggage}
    propagator.inject(carrier, span if baggage is span.baggage else Context(span.identity, span.state, baggage))
    if sent_ms is not None and "tracestate" in propagator.fields:
        carrier.set("tracestate", send_time.stamp(span.state, sent_ms))
    return True


def _is_handled_here(identity: bytes) -> bool:
    """Whether this is the context of a message whose handler is at work: an unsampled one keeps the trace alone."""
    for frame in open_frames():
        if getattr(frame, "origin", None) == identity:
            return True
        if isinstance(frame, NoopSpan) and not identity[54] & 1 and frame.identity is not None:
            return frame.identity[:35] == identity[:35]
    return False


def _is_within_a_trace() -> bool:
    frame = current_frame()
    return frame is not None and frame.identity is not None


def _write_state(carrier: Carrier, state: str | None) -> None:
    if state is None:
        carrier.remove("tracestate")
    else:
        carrier.set("tracestate", state)


def close(span: Span | NoopSpan, error: BaseException | None) -> None:
    """End a process span that was made current, with the exception that its handler raised."""
    restore(span)
    end(span, None if isinstance(error, GeneratorExit) else error)


def end(span: Span | NoopSpan, error: BaseException | None) -> None:
    """End a span with the exception that its call raised.

    Unless it has ended: the handler did that itself, or the exception is an interrupt that came after it.
    """
    if span.ended:
        return
    if error is not None:
        span.fail(error)
    span.end()
