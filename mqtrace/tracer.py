"""The tracer: one service's spans, how they are sampled, and where they go.

It starts spans and carries contexts; messaging and the rooms above it trace messages with it. The default tracer is the
one that ``mqtrace.configure`` made; until then it is one that passes contexts on and makes no span.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol
from weakref import WeakSet

from . import carriers
from .config import Settings, is_disabled
from .core import (
    EMPTY,
    Attribute,
    Clock,
    Context,
    Counters,
    Details,
    ForkSafeLock,
    Frame,
    Kind,
    Link,
    NoopSpan,
    Pipeline,
    Relation,
    Sink,
    Span,
    Template,
    clean,
    current_frame,
    is_frame,
    is_time,
    keep_recent,
    lowered,
    pairs,
    start,
    text,
)
from .export import lifecycle
from .export.batch import COUNTS, DROP_REASONS, BatchProcessor
from .export.discard import DiscardExporter
from .propagation.tracecontext import parse_traceparent
from .sampling import Never, Rule, rules
from .sampling.decision import SamplerDecider

__all__ = ["CURRENT", "Current", "Follower", "SpanTracer", "default", "follow", "followers", "set_default"]

log = logging.getLogger("mqtrace")

_KINDS: Final = ("internal", "producer", "consumer", "client", "server")
# How many names of a user's own spans are remembered.
_NAMES: Final = 1024
# How long flush and shutdown wait by default.
_TIMEOUT_S: Final = 5.0
#: Characters. The template of a span with a longer name is not kept, so that memory is bounded.
LONG_NAME: Final = 256
# How many sentences are remembered, so that each is logged once: a program may bring about ever new ones.
_SENTENCES: Final = 100
_NONE: Final[tuple[Any, ...]] = ()


class Current:
    """The default of ``start_span(parent=)``: what is current."""

    def __repr__(self) -> str:
        return "CURRENT"


CURRENT: Final = Current()


class Processor(Protocol):
    """Takes finished spans, and can be waited for."""

    @property
    def sink(self) -> Sink:
        """Where spans are put when they end; the same object as long as the process lives."""
        ...

    def start(self) -> None: ...
    def flush(self, timeout: float) -> bool: ...
    def shutdown(self, timeout: float) -> bool: ...
    def retire(self, timeout: float) -> None: ...
    def stats(self) -> dict[str, Any]: ...


class DisabledProcessor:
    """The processor of a tracer that makes no spans."""

    def __init__(self) -> None:
        self.queue: list[Span] = []
        self.limit = 0

    @property
    def sink(self) -> Sink:
        """Itself."""
        return self

    def overflow(self, span: Span) -> None:
        """No span ends here."""

    def admit(self, span: Span, weight: int) -> None:
        """No span ends here."""

    def start(self) -> None:
        """Nothing to start."""

    def flush(self, timeout: float) -> bool:
        """Nothing to wait for: True."""
        return True

    def shutdown(self, timeout: float) -> bool:
        """Nothing to wait for: True."""
        return True

    def retire(self, timeout: float) -> None:
        """Nothing to stop."""

    def stats(self) -> dict[str, Any]:
        """All counters zero, with the same keys as :meth:`BatchProcessor.stats`."""
        counts: dict[str, Any] = dict.fromkeys(COUNTS, 0)
        return {**counts, "spans_dropped": dict.fromkeys(DROP_REASONS, 0)}


class SpanTracer:
    """Starts spans of one service.

    It is made from :class:`~mqtrace.config.Settings`, which have its exporter. ``processor`` and ``clock`` replace
    those of the settings, for tests.
    """

    def __init__(self, settings: Settings, processor: Processor | None = None, clock: Clock | None = None) -> None:
        clock = clock or Clock()
        counters = Counters()
        #: Clients with spans that wait for a report; :meth:`shutdown` has them end those.
        self.pending_owners: WeakSet[Any] = WeakSet()
        if processor is None:
            processor = _processor_of(settings, clock, counters, self.pending_owners)
        self.settings = settings
        self.propagator = settings.propagator
        self._w3c = settings.propagator.is_w3c
        self.processor = processor
        self.counters = counters
        self.pipeline = Pipeline(
            settings.service,
            settings.resource,
            processor.sink,
            clock=clock,
            limits=settings.limits,
            counters=counters,
            spend=SamplerDecider.spending(settings.sampler, settings.rules),
            failed=SamplerDecider.learning(settings.sampler, settings.rules),
        )
        self._decider = SamplerDecider(settings.sampler)
        self._names: dict[tuple[str, str], Template] = {}
        self._complaints: set[str] = set()
        #: The operations of `process`, `each` and `batch`, kept by messaging/handlers.py.
        self.operations: dict[Any, Any] = {}
        lifecycle.tracers.add(self)

    @property
    def service(self) -> str:
        """service.name."""
        return self.settings.service

    # ------------------------------------------------------------------ spans

    def template(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Attribute],
        *,
        destination: str | None = None,
        task: str | None = None,
        relation: Relation | None = None,
    ) -> Template:
        """What the spans of one operation share, with the rule for its destination or task."""
        limit = self.pipeline.limits.value_length
        if limit is not None:
            name = name[:limit]
            attributes = {
                key: value if (cut := clean(value, limit)) is None else cut for key, value in attributes.items()
            }
        rule: Rule | None = None
        if self.settings.rules:
            rule = rules.first(self.settings.rules, destination, task)
        decider = self._decider
        propagate_only = self.settings.disabled
        if rule is not None:
            propagate_only = propagate_only or rule.ignore
            relation = relation or rule.relation
            if rule.rate is not None:
                decider = SamplerDecider(self.settings.sampler, rule.rate)
        return Template(
            self.pipeline,
            name,
            kind,
            attributes,
            sampling=decider,
            destination=destination,
            relation=relation or self.settings.relation,
            propagate_only=propagate_only,
        )

    def start_span(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: Frame | Current | None = CURRENT,
        links: Iterable[Frame | Link | tuple[Frame, Mapping[str, object]]] = _NONE,
        attributes: Mapping[str, object] | None = None,
        start_time: int | None = None,
    ) -> Span | NoopSpan:
        """Start a span; use it with ``with`` or call its ``end``.

        ``parent``: a span or a Context; None: a new trace; left out: what is current. ``links``: spans, Contexts or
        Links, or pairs of one and its attributes. ``start_time``: ns since the epoch. Never raises: an invalid argument
        is ignored and counted.
        """
        above = current_frame() if isinstance(parent, Current) else self._parent(parent)
        template = self._names.get((name, kind)) if type(name) is str and type(kind) is str else None
        if template is None:
            template = self._named(name, kind)
        if attributes is not None and type(attributes) is not dict:
            attributes = self._copied(attributes)
        span = start(template, above, Span, attributes)  # type: ignore[arg-type]  # a sampler sees them as given
        if isinstance(span, NoopSpan):
            return span
        if attributes:
            span.set_attributes(attributes)
        if start_time is not None:
            self._begin_at(span, start_time)
        if links is not _NONE:
            self._link(span, links)
        return span

    def _parent(self, parent: Frame | None) -> Frame | None:
        if parent is None or is_frame(parent):
            return parent
        self.counters.calls_ignored += 1
        self.say(f"parent={type(parent).__qualname__} is not a span or a Context: a new trace was started")
        return None

    def _copied(self, attributes: Mapping[str, object]) -> dict[str, object] | None:
        """The attributes of a mapping that is not a dict, which may raise anything here. None if it is no mapping."""
        try:
            return dict(pairs(attributes))  # type: ignore[arg-type]  # None is a TypeError, and keys are looked at later
        except Exception:  # noqa: BLE001  # not a mapping, or keys without a hash
            self.counters.calls_ignored += 1
            return None

    def _begin_at(self, span: Span, start_time: int) -> None:
        if not is_time(start_time):
            self.counters.calls_ignored += 1
            return
        span.begun_ns = self.pipeline.clock.reading(start_time)
        details = span.details = span.details if isinstance(span.details, Details) else Details()
        details.start_time = start_time

    def _link(self, span: Span, links: Iterable[Any]) -> None:
        try:
            for link in links:
                if isinstance(link, Link):
                    span.add_link(link.context, link.attributes)
                    continue
                pair: Any = link if type(link) is tuple and len(link) == 2 else (link, None)
                span.add_link(pair[0], pair[1])
        except Exception:  # noqa: BLE001  # not an iterable, or one that raises
            self.counters.calls_ignored += 1
            if is_frame(links):
                self.say(f"links={type(links).__qualname__} is not a list: write links=[...]")

    def _named(self, name: object, kind: object) -> Template:
        valid_name, sort = text(name), text(kind)
        if valid_name is None:
            self.counters.calls_ignored += 1
            valid_name = "unnamed"
        if sort not in _KINDS:
            what, sort = type(kind).__qualname__ if sort is None else repr(sort[:40]), lowered(kind)
            if sort in _KINDS:
                self.say(f"kind={what} is taken as {sort!r}, which is how to write it")
            else:
                self.counters.calls_ignored += 1
                sort = "internal"
                self.say(f"kind={what} is unknown: write one of {', '.join(_KINDS)}")
        known_template = self._names.get((valid_name, sort))
        if known_template is not None:  # the name or kind is a member of a StrEnum, whose text is known
            return known_template
        template = self.template(valid_name, sort, {})  # type: ignore[arg-type]  # one of _KINDS, by the lines above
        if len(valid_name) <= LONG_NAME:
            keep_recent(self._names, (valid_name, sort), template, _NAMES)
        return template

    # ------------------------------------------------------------------ contexts

    def inject(self, carrier: Any, context: Frame | None = None) -> None:
        """Write a context (the current one, if left out) into ``carrier``, in place.

        ``carrier``: one of mqtrace.carriers, or a native object that one of them recognises; TypeError for another.
        An object that cannot be changed (a tuple, None) stays as it is, which is counted: pass one of mqtrace.carriers,
        and use its ``native``.
        """
        frame = current_frame() if context is None else context
        wrapped = carriers.recognise(carrier)
        if context is not None and not is_frame(context):
            self.counters.calls_ignored += 1
            return
        self.propagator.inject(wrapped, EMPTY if frame is None else frame)
        if wrapped is not carrier and getattr(wrapped, "native", carrier) is not carrier:
            self.counters.calls_ignored += 1  # a tuple, a read-only mapping, None: the context is in a new object

    def extract(self, carrier: Any) -> Context:
        """The context in ``carrier``; a context without a trace if it has none. None holds no context."""
        if carrier is None:
            return EMPTY
        if self._w3c and type(carrier) is dict:
            # In nearly every call a dict has only a traceparent: read here, it takes a quarter of the formats' time.
            traceparent = carrier.get("traceparent")
            if type(traceparent) is str and "tracestate" not in carrier and "baggage" not in carrier:
                identity = parse_traceparent(traceparent)
                if identity is not None:
                    return Context(identity)
        return self.propagator.extract(carriers.recognise(carrier), EMPTY, self.malformed)

    def malformed(self) -> None:
        """Count a malformed context."""
        self.counters.contexts_malformed += 1

    def complain(self, sentence: str) -> None:
        """Log once, with the present exception, that tracing failed in some way; the application goes on."""
        if sentence not in self._complaints:
            self._complaints.add(sentence)
            log.warning("%s", sentence, exc_info=True)

    def say(self, sentence: str) -> None:
        """Log once that a call is probably a mistake; the application goes on."""
        if sentence not in self._complaints and len(self._complaints) < _SENTENCES:
            self._complaints.add(sentence)
            log.warning("%s", sentence)

    def unknown(self, *message: object) -> None:
        """Count an object that is not a message, and log its type once. Without an argument: there was no object."""
        self.counters.messages_unknown += 1
        if not self.settings.disabled:
            kind = f"{type(message[0]).__module__}.{type(message[0]).__qualname__}" if message else "no argument"
            self.say(f"{kind} is not a message of a client that mqtrace knows: it has no span")

    # ------------------------------------------------------------------ the end

    def flush(self, timeout: float = 5.0) -> bool:
        """Send the spans that have ended. ``timeout`` in seconds; True: all of them left in time."""
        return self.processor.flush(self._seconds(timeout))

    def shutdown(self, timeout: float = 5.0) -> bool:
        """End the spans that wait for a report, send all that have ended, and stop. True: all left in time."""
        timeout = self._seconds(timeout)
        began = time.monotonic()
        self.end_pending()
        return self.processor.shutdown(max(0.0, timeout - (time.monotonic() - began)))

    def retire(self, timeout: float = _TIMEOUT_S) -> None:
        """Do as :meth:`shutdown`, but do not wait."""
        self.end_pending()
        self.processor.retire(timeout)

    def end_pending(self) -> None:
        """End the spans that wait for a report."""
        for owner in list(self.pending_owners):
            owner.release(self)

    def _seconds(self, timeout: object) -> float:
        """A timeout; an invalid one is counted and replaced by the default."""
        try:
            if isinstance(timeout, int | float) and not math.isnan(timeout):
                return float(timeout)
        except OverflowError:  # a whole number beyond any float
            return math.inf
        except Exception:  # noqa: BLE001, S110  # a user's own class of number may raise anything: it is counted below
            pass
        self.counters.calls_ignored += 1
        return _TIMEOUT_S

    def stats(self) -> dict[str, Any]:
        """Counts since the start of the process; see docs/configuration.md for the meaning of each."""
        return {
            **self.processor.stats(),
            "contexts_malformed": self.counters.contexts_malformed,
            "calls_ignored": self.counters.calls_ignored,
            "clock_skew": self.counters.clock_skew,
            "messages_unknown": self.counters.messages_unknown,
        }


def _processor_of(
    settings: Settings, clock: Clock, counters: Counters, pending_owners: WeakSet[Any]
) -> DisabledProcessor | BatchProcessor:
    if settings.disabled:
        return DisabledProcessor()
    return BatchProcessor(
        settings.exporter or DiscardExporter(),
        clock=clock,
        counters=counters,
        settings=settings.batch,
        upkeep=partial(_expire, pending_owners),  # not the tracer itself: the worker must not keep it
    )


def _expire(pending_owners: WeakSet[Any]) -> None:
    """End spans whose report nobody polls for. The worker calls it every few seconds."""
    for owner in list(pending_owners):
        owner.expire()


class _Unconfigured(SpanTracer):
    """The default tracer before ``configure``: it only passes contexts on."""

    def template(self, *arguments: Any, **named: Any) -> Template:
        """Log a hint, and make the template. This is called for a first message, not when a client is wrapped."""
        if not is_disabled():
            self.say("no span is made before mqtrace.configure('my-service') is called: contexts are passed on only")
        return super().template(*arguments, **named)


class Follower(Protocol):
    """Makes spans of the default tracer, whichever that is."""

    def follow(self, tracer: SpanTracer) -> None: ...


#: Everything that follows the default tracer; :func:`follow` adds to it.
followers: WeakSet[Any] = WeakSet()
# Clients are wrapped on any thread, and a set that grows while it is looked through raises. Reentrant: signal handlers.
_following = ForkSafeLock()
_default: SpanTracer | None = None


def is_configured() -> bool:
    """Whether ``configure`` has made a default tracer."""
    return _default is not None and not isinstance(_default, _Unconfigured)


def default() -> SpanTracer:
    """The default tracer; before ``configure`` one that only passes contexts on."""
    global _default
    if _default is None:
        _default = _Unconfigured(Settings(sampler=Never(), disabled=True))
    return _default


def set_default(tracer: SpanTracer | None) -> SpanTracer | None:
    """Make this the default tracer, also of objects that are wrapped already. Returns the previous one."""
    global _default
    before, _default = _default, tracer
    now = default()
    with _following.lock:
        snapshot = list(followers)
    for follower in snapshot:
        follower.follow(now)
    return before


def follow(follower: Follower) -> None:
    """Tell ``follower`` of every new default tracer, as long as it lives."""
    with _following.lock:
        followers.add(follower)
