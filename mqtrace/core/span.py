"""Spans: what happened, when, and below which parent.

The hot path stores a span's slots. ``trace_id``, ``attributes``, ``start_time`` and the rest are computed when they are
read. What few spans have (attributes that the user set, events, links, an error) is in ``details``, None until then.
Names and meaning are OpenTelemetry's (Trace API and SDK specification).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import Token
from types import MappingProxyType, TracebackType
from typing import Final

from .attributes import ENTRY, Attribute, clean, lowered, pairs, text, weight
from .context import Decision, Frame, is_frame
from .current import LeftElsewhere, NestedToken, enter, innermost_frame, leave, restore
from .details import NO_ATTRIBUTES, STATUS_CODES, Details, Event, Link, OuterLink, Status
from .exceptions import stacktrace_of, text_of, type_name
from .template import Kind, Template

__all__ = ["LIGHT", "SHORT_STATE", "Span", "hand_over", "is_time"]

# A span that keeps more bytes than this beside its slots is weighed: the queue is bounded in bytes too.
LIGHT: Final = 1024
#: Characters of a tracestate that is not weighed: what everybody must be able to pass on (Trace Context, 3.3.1.5).
SHORT_STATE: Final = 512


class Span:
    """One operation of one service. Made by :meth:`Tracer.start_span`; usable with ``with``.

    No method raises: an invalid argument is ignored and counted.
    """

    __slots__ = (
        "baggage",
        "begun_ns",
        "details",
        "ended",
        "identity",
        "parent",
        "parent_remote",
        "state",
        "template",
        "token",
    )

    template: Template
    identity: bytes
    #: The parent's identity, or None at a root.
    parent: bytes | None
    #: Whether the parent is of another process.
    parent_remote: bool
    state: str | None
    baggage: Mapping[str, str] | None
    #: Readings of the pipeline's clock, ns (core/clock.py). ``ended`` is 0 while the span records.
    begun_ns: int
    ended: int
    details: Details | OuterLink | None
    token: Token[Frame | None] | NestedToken | LeftElsewhere | None

    #: As a frame: a span of this process, sampled by its flag.
    decision: Decision = "flag"
    remote: bool = False

    # ------------------------------------------------------------------ what a user writes

    def is_recording(self) -> bool:
        """Whether the span keeps what is set on it: until its end."""
        return not self.ended

    def set_attribute(self, key: str, value: object) -> None:
        """Set one attribute: a string, boolean, 64-bit integer, double, bytes, or a list of those."""
        self._set(((key, value),))

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Set several attributes; an invalid one is ignored and counted."""
        items = list(attributes.items()) if type(attributes) is dict else pairs(attributes)
        if items is None:
            self._count_ignored()
        elif items:
            self._set(items)

    def _set(self, items: Iterable[tuple[object, object]]) -> None:
        details = self._details()
        if details is None:
            return
        limits = self.template.pipeline.limits
        attributes = details.attributes
        for key, value in items:
            name = key if type(key) is str else text(key)
            kept = clean(value, limits.value_length) if name else None
            if name is None or kept is None:
                self._count_ignored()
                continue
            grown = weight(kept)
            if name in attributes:
                grown -= weight(attributes[name])
            elif len(attributes) >= limits.attributes:
                details.dropped_attributes += 1
                continue
            else:
                grown += ENTRY + name.__sizeof__()
            attributes[name] = kept
            details.weight += grown

    def add_event(
        self, name: str, attributes: Mapping[str, object] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event. ``timestamp``: ns since the epoch, now if left out or invalid."""
        details = self._details()
        if details is None:
            return
        pipeline = self.template.pipeline
        if len(details.events) >= pipeline.limits.events:
            details.dropped_events += 1
            return
        name_text = text(name)
        if name_text is None:
            self._count_ignored()
            return
        if timestamp is not None and not is_time(timestamp):
            self._count_ignored()  # seconds, probably; the event is what matters
            timestamp = None
        kept, dropped = self._clean(attributes, pipeline.limits.event_attributes)
        time_ns = pipeline.clock.epoch(pipeline.clock.now()) if timestamp is None else timestamp
        details.add_event(Event(name_text[: pipeline.limits.value_length], time_ns, kept, dropped))

    def add_link(self, context: Frame, attributes: Mapping[str, object] | None = None) -> None:
        """Link to another span: a Context or a span. One without a trace is ignored."""
        details = self._details()
        if details is None:
            return
        if not is_frame(context) or context.identity is None:
            self._count_ignored()
            return
        limits = self.template.pipeline.limits
        if len(details.links) >= limits.links:
            details.dropped_links += 1
            return
        kept, dropped = self._clean(attributes, limits.link_attributes)
        details.add_link(context, kept, dropped)

    def record_exception(
        self, error: BaseException, attributes: Mapping[str, object] | None = None, timestamp: int | None = None
    ) -> None:
        """Add the event ``exception`` (semantic conventions, "Recording exceptions"), with ``attributes`` added.

        ``timestamp``: ns since the epoch, now if left out.
        """
        if not isinstance(error, BaseException):
            self._count_ignored()
            return
        event_attributes: dict[str, object] = {
            "exception.type": type_name(error),
            "exception.message": text_of(error),
            "exception.stacktrace": stacktrace_of(error),
        }
        if attributes is not None:
            items = pairs(attributes)
            if items is None:
                self._count_ignored()
            event_attributes.update((name, value) for key, value in items or () if (name := text(key)))
        self.add_event("exception", event_attributes, timestamp)

    def set_status(self, status: Status, description: str | None = None) -> None:
        """``ok``, ``error`` or ``unset``. As in OpenTelemetry, ok is final, and only an error has a description.

        OpenTelemetry's spelling (``ERROR``, ``StatusCode.ERROR``) is taken too.

        The status is set without a description that is not text (the exception itself, for example), which is counted.
        """
        details = self._details()
        if details is None:
            return
        code = lowered(status)
        if code not in STATUS_CODES:
            self._count_ignored()
            return
        if description is not None and not isinstance(description, str):
            self._count_ignored()
        if details.status == "ok" or code == "unset":
            return
        details.status = code  # type: ignore[assignment]  # one of the three, by the check above
        old, new = details.description, text(description) if code == "error" else None
        details.description = new = None if new is None else new[: self.template.pipeline.limits.value_length]
        details.weight += (0 if new is None else new.__sizeof__()) - (0 if old is None else old.__sizeof__())

    def fail(self, error: BaseException) -> None:
        """Record this error as one that leaves the span's block: the event, ``error.type`` and the status."""
        self.record_exception(error)
        self.set_attributes({"error.type": type_name(error)})
        self.set_status("error", text_of(error))

    def end(self, end_time: int | None = None) -> None:
        """End the span. ``end_time``: ns since the epoch, now if left out. A second call is ignored and counted."""
        if self.ended:
            self._count_ignored()
            return
        template = self.template
        if end_time is None:
            self.ended = template.now()
        elif is_time(end_time):
            details = self._details()
            assert details is not None, "the span has not ended yet"
            details.end_time = end_time
            self.ended = template.pipeline.clock.reading(end_time) or 1  # 0: it has not ended
        else:
            self._count_ignored()
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

    def __enter__(self) -> Span:
        enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if innermost_frame() is self:
            restore(self)
        else:
            leave(self)
        if error is not None and kind is not GeneratorExit:  # that closes a generator, and is no failure
            self.fail(error)
        if not self.ended:
            self.end()

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    # ------------------------------------------------------------------ what anyone reads

    @property
    def trace_id(self) -> str:
        """32 lowercase hex characters."""
        return self.identity[3:35].decode("ascii")

    @property
    def span_id(self) -> str:
        """16 lowercase hex characters."""
        return self.identity[36:52].decode("ascii")

    @property
    def parent_id(self) -> str | None:
        """The parent's span id; None at a root."""
        return None if self.parent is None else self.parent[36:52].decode("ascii")

    @property
    def is_valid(self) -> bool:
        """Whether there is a trace: True."""
        return True

    @property
    def trace_state(self) -> str:
        """The text of ``tracestate``; empty without one."""
        return self.state or ""

    @property
    def name(self) -> str:
        """``{operation name} {destination}``, or the argument of ``start_span``."""
        return self.template.name

    @property
    def kind(self) -> Kind:
        """internal, producer, consumer, client or server."""
        return self.template.kind

    @property
    def start_time(self) -> int:
        """ns since the epoch."""
        passed = None if self.details is None else self.details.start_time
        return self.template.pipeline.clock.epoch(self.begun_ns) if passed is None else passed

    @property
    def end_time(self) -> int | None:
        """ns since the epoch; None while the span records."""
        passed = None if self.details is None else self.details.end_time
        if passed is not None or not self.ended:
            return passed
        return self.template.pipeline.clock.epoch(self.ended)

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Every attribute, those of the operation first."""
        merged = {**self.template.attributes, **self.slot_attributes()}
        if self.details is not None:
            merged.update(self.details.attributes)
        return MappingProxyType(merged)

    def slot_attributes(self) -> Mapping[str, Attribute]:
        """The attributes that are in a subclass's slots; none here."""
        return NO_ATTRIBUTES

    @property
    def events(self) -> Sequence[Event]:
        """In the order in which they were added."""
        return () if self.details is None else tuple(self.details.events)

    @property
    def links(self) -> Sequence[Link]:
        """The operation's first: a process span's link to the message's context."""
        links = tuple(self.slot_links())
        return links if self.details is None else links + tuple(self.details.links)

    def slot_links(self) -> Iterator[Link]:
        """The links that are in a subclass's slots; none here."""
        return iter(())

    @property
    def status(self) -> Status:
        """unset, ok or error."""
        return "unset" if self.details is None else self.details.status

    @property
    def status_description(self) -> str | None:
        """The error's description; None without one."""
        return None if self.details is None else self.details.description

    @property
    def service(self) -> str:
        """The name of the service whose tracer made the span."""
        return self.template.pipeline.service

    @property
    def resource(self) -> Mapping[str, Attribute]:
        """The attributes of that service, service.name among them."""
        return self.template.pipeline.resource

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.identity.decode('ascii')}>"

    # ------------------------------------------------------------------ within

    def left_elsewhere(self, outer: Frame | None) -> None:
        """See :class:`mqtrace.core.current.Entered`."""
        self.token = LeftElsewhere(outer)
        self.baggage = None

    def _details(self) -> Details | None:
        """The details, made if there are none; None if the span has ended, and that is counted."""
        if self.ended:
            self._count_ignored()
            return None
        details = self.details
        if type(details) is Details:
            return details
        self.details = details = details.unfolded() if isinstance(details, OuterLink) else Details()
        return details

    def _clean(self, attributes: Mapping[str, object] | None, limit: int) -> tuple[Mapping[str, Attribute], int]:
        """The attributes of an event or a link, ``limit`` at most, and how many more there were."""
        if attributes is None:
            return NO_ATTRIBUTES, 0
        items = pairs(attributes)
        if items is None:
            self._count_ignored()
            return NO_ATTRIBUTES, 0
        length = self.template.pipeline.limits.value_length
        kept: dict[str, Attribute] = {}
        dropped = 0
        for key, value in items:
            name = text(key)
            cleaned = clean(value, length) if name else None
            if name is None or cleaned is None:
                self._count_ignored()
            elif len(kept) >= limit and name not in kept:
                dropped += 1
            else:
                kept[name] = cleaned
        return MappingProxyType(kept), dropped

    def _count_ignored(self) -> None:
        self.template.pipeline.counters.calls_ignored += 1


def hand_over(span: Span) -> None:
    """Pass a finished span to its sink, with its weight, and drop its baggage."""
    template = span.template
    sink = template.sink
    details = span.details
    beside_slots = 0 if span.state is None else span.state.__sizeof__()
    if details is not None:
        if details.status == "error" and template.pipeline.failed is not None:
            template.pipeline.failed(template.destination)
        beside_slots += details.weight
    if span.baggage is not None and innermost_frame() is not span and getattr(span, "token", None) is None:
        span.baggage = None  # if it is current still, `restore` drops it
    if beside_slots > LIGHT:
        sink.admit(span, beside_slots)
        return
    if len(sink.queue) < sink.limit:
        sink.queue.append(span)
    else:
        sink.overflow(span)


def is_time(value: object) -> bool:
    """Whether this is a time: an integer, nanoseconds since the epoch, more than 0 and below 2**63."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63
