"""The surface: a Tracer, and the module-level short cuts to the default one."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, Unpack, overload

from . import otel
from . import tracer as tracers
from .clients import SUPPORTED, instrumented_classes, module_of
from .clients.advice import advice_for
from .clients.proxy import is_traced, unwrap
from .config import Options, names_options, read
from .core import (
    EMPTY,
    NOOP,
    Context,
    ForkSafeLock,
    Frame,
    Kind,
    Link,
    NoopSpan,
    Span,
    attach,
    current_frame,
    current_span,
    detach,
    innermost_frame,
    is_frame,
    text,
)
from .errors import ConfigurationError
from .messaging import handlers
from .messaging.each import Each
from .tracer import CURRENT, Current, SpanTracer

__all__ = [
    "Tracer",
    "baggage",
    "batch",
    "configure",
    "consumer",
    "current_span",
    "each",
    "extract",
    "flush",
    "inject",
    "instrument_celery",
    "process",
    "set_baggage",
    "shutdown",
    "start_span",
    "stats",
    "uninstrument_celery",
    "unwrap",
    "use",
    "wrap",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
M = TypeVar("M")

_guard = ForkSafeLock()


class Tracer(SpanTracer):
    """The tracer of one service: its spans, its sampling, its exporter. It touches no global state.

    Arguments as in :func:`configure`. Raises ConfigurationError for one that cannot work.
    """

    @names_options
    def __init__(self, service: str | None = None, sampler: object = None, **options: Unpack[Options]) -> None:
        settings = read(service, sampler, **options)
        super().__init__(settings)
        otel.follow(settings.opentelemetry)

    def wrap(self, client: T, **options: Any) -> T:
        """See :func:`mqtrace.wrap`."""
        return wrap(client, tracer=self, **options)

    @overload
    def consumer(self, function: F, /) -> F: ...
    @overload
    def consumer(
        self, function: None = None, /, *, relation: str | None = None, name: str | None = None
    ) -> Callable[[F], F]: ...
    def consumer(self, function: Any = None, /, *, relation: str | None = None, name: str | None = None) -> Any:
        """See :func:`mqtrace.consumer`."""
        return consumer(function, relation=relation, name=name, tracer=self)

    def process(self, message: Any, *, relation: str | None = None, name: str | None = None) -> Span | NoopSpan:
        """See :func:`mqtrace.process`."""
        return handlers.process(message, self, relation, name)

    def each(self, messages: Iterable[M] | AsyncIterable[M]) -> Each[M]:
        """See :func:`mqtrace.each`."""
        return Each(messages, self)

    def batch(self, messages: Iterable[Any], *, name: str | None = None) -> Span | NoopSpan:
        """See :func:`mqtrace.batch`."""
        return handlers.batch(messages, self, name)

    def instrument_celery(self, app: Any = None, **options: Any) -> None:
        """See :func:`mqtrace.instrument_celery`."""
        instrument_celery(app, tracer=self, **options)

    def uninstrument_celery(self) -> None:
        """Undo :meth:`instrument_celery`, and the function of that name if this is the default tracer.

        What other tracers trace stays traced.
        """
        _celery().uninstrument(self)

    def current_span(self) -> Span | NoopSpan:
        """See :func:`mqtrace.current_span`."""
        return current_span()

    def baggage(self) -> Mapping[str, str]:
        """See :func:`mqtrace.baggage`."""
        return baggage()

    def set_baggage(self, name: str, value: str) -> Context:
        """See :func:`mqtrace.set_baggage`."""
        return _with_baggage(self, name, value)

    def use(self, context: Frame | None) -> use:
        """See :func:`mqtrace.use`."""
        return use(context)

    def unwrap(self, client: T) -> T:
        """See :func:`mqtrace.unwrap`."""
        return unwrap(client)  # type: ignore[no-any-return]  # the same kind of client


@names_options
def configure(service: str | None = None, *, sampler: object = None, **options: Unpack[Options]) -> Tracer:
    """Make the default tracer, and return it. Objects that are wrapped already follow it.

    ``service``: else OTEL_SERVICE_NAME. ``sampler``: a rate from 0 to 1 or an object of mqtrace.sampling, else
    OTEL_TRACES_SAMPLER. ``exporter``: a URL, ``kafka://host:9092/otlp_spans``, or an object with ``export(spans)``
    and ``shutdown(timeout)``, else MQTRACE_EXPORTER. ``propagators``: OpenTelemetry's names, else OTEL_PROPAGATORS.
    ``resource``: attributes over OTEL_RESOURCE_ATTRIBUTES. ``relation``: of process spans to their message, "parent" or
    "link". ``rules``: :class:`mqtrace.Rule` by destination or by Celery task. ``receive_spans``, ``settle_spans``:
    spans for polls and for commits and acknowledgements too. ``opentelemetry``: whether the current span is shared with
    OpenTelemetry; None: as soon as the process imports ``opentelemetry``, else MQTRACE_OPENTELEMETRY.

    Called again, it replaces the default tracer. The old one's spans still leave, within five seconds, but the call
    does not wait for them. Raises ConfigurationError.
    """
    tracer = Tracer(service, sampler, **options)
    if tracer.settings.opentelemetry is False:
        otel.leave()
    with _guard.lock:
        before = tracers.set_default(tracer)
    if before is not None:
        before.retire()
    return tracer


def wrap(client: T, *, tracer: SpanTracer | None = None, **options: Any) -> T:
    """The same kind of client, traced. ``client``: an object or class of a supported library.

    ``tracer``: whose spans; the default one's if left out. ``options``: what an instance does not show of its
    configuration, see the page of the client. Wrapping twice is wrapping once. TypeError for anything else.
    """
    _check(tracer)
    kind: type = client if isinstance(client, type) else type(client)
    if is_traced(kind):
        return client
    module = module_of(kind)
    traced = None if module is None else module.wrap(client, tracer, options)
    if traced is None:
        what = getattr(client, "__qualname__", None) or type(client).__qualname__
        advice = advice_for(kind)
        if advice is not None:
            raise TypeError(f"mqtrace.wrap does not take {what}: {advice}")
        raise TypeError(f"mqtrace.wrap does not know {what}: it takes {SUPPORTED}")
    instrumented_classes.skip_ours(kind)
    return traced  # type: ignore[no-any-return]  # the same kind of client


@overload
def consumer(function: F, /) -> F: ...
@overload
def consumer(
    function: None = None, /, *, relation: str | None = None, name: str | None = None, tracer: SpanTracer | None = None
) -> Callable[[F], F]: ...
@overload
def consumer(
    function: Any, /, *, relation: str | None = None, name: str | None = None, tracer: SpanTracer | None = None
) -> Any: ...
def consumer(
    function: Any = None,
    /,
    *,
    relation: str | None = None,
    name: str | None = None,
    tracer: SpanTracer | None = None,
) -> Any:
    """Decorate a handler: each call is the process span of the message among its arguments.

    For functions, methods, coroutines and generators. ``relation``: "parent" or "link", as configured if left out.
    ``name``: the whole span name. Raises ConfigurationError for one of these that cannot be used.
    """
    _check(tracer)
    if function is None:
        return lambda handler: handlers.consumer(handler, tracer, relation, name)
    return handlers.consumer(function, tracer, relation, name)


def process(
    message: Any, *, relation: str | None = None, name: str | None = None, tracer: SpanTracer | None = None
) -> Span | NoopSpan:
    """``with mqtrace.process(message) as span:`` the process span of a message, as a block."""
    return handlers.process(message, tracer, relation, name)


@overload
def each(messages: dict[Any, list[M]], *, tracer: SpanTracer | None = None) -> Each[M]: ...
@overload
def each(messages: Iterable[M] | AsyncIterable[M], *, tracer: SpanTracer | None = None) -> Each[M]: ...
def each(messages: Any, *, tracer: SpanTracer | None = None) -> Each[Any]:
    """``for message in mqtrace.each(messages):`` every message in a process span of its own, current in the body.

    Lazy: it takes a message when the loop asks for one. Asynchronous (``async for``) if ``messages`` is. A loop cannot
    tell an exception in its body from ``break``; ``with mqtrace.each(...) as messages:`` around it can: it records the
    exception, and leaves nothing current, however the loop is left.
    """
    return Each(messages, tracer)


def batch(messages: Iterable[Any], *, name: str | None = None, tracer: SpanTracer | None = None) -> Span | NoopSpan:
    """``with mqtrace.batch(messages) as span:`` one span for all of them, with a link to each one's context."""
    return handlers.batch(messages, tracer, name)


class use:  # used as a function: with mqtrace.use(context)
    """``with mqtrace.use(context):`` a context (a Context, a span, None for none) is current while the block runs.

    For places that a context does not reach by itself: another thread, a callback, a pool. One object may be entered
    many times, by many threads and tasks at once.
    """

    __slots__ = ("_context", "_entered")

    def __init__(self, context: Frame | None) -> None:
        if context is not None and not is_frame(context):
            what = "an invalid Context" if isinstance(context, Context) else type(context).__qualname__
            raise TypeError(f"mqtrace.use takes a span or a Context, not {what}")
        # no context is a frame too: without a frame, what OpenTelemetry has current would show through
        self._context = EMPTY if context is None or context is NOOP else context
        #: Of each block that is open: its token and its frame.
        self._entered: list[tuple[Any, Frame]] = []

    def __enter__(self) -> Context:
        frame = self._context
        if isinstance(frame, Context):
            frame = _OwnContext(frame)
        self._entered.append((attach(frame), frame))
        return Context.of(self._context)

    def __exit__(self, *exception: object) -> None:
        entered = self._entered
        innermost = innermost_frame()
        for entry in reversed(entered[:]):
            token, frame = entry
            try:
                detach(token)
            except ValueError:  # of another thread's or task's block with the same object
                continue
            entered.remove(entry)
            if innermost is not frame:  # another block goes on, whose end will make this frame current again
                self._leave(token, frame)
            return
        if len(entered) == 1:
            # the block was left in another context than it was entered in, and there it never was current
            self._leave(*entered.pop())

    @staticmethod
    def _leave(token: Any, frame: Frame) -> None:
        if isinstance(frame, _OwnContext):
            frame.span = None
            frame.left_elsewhere(None if token.old_value is token.MISSING else token.old_value)


class _OwnContext(Context):
    """A context of one block's own: a note is made on it if the block is left in another context.

    If it is the context of the span that is current (with other baggage, say), that span stays current: ``span``.
    """

    __slots__ = ("span",)

    def __init__(self, context: Context) -> None:
        super().__init__(context.identity, context.state, context.baggage, context.decision, context.remote)
        outer = current_span()
        self.span = outer if context.identity is not None and outer.identity == context.identity else None


def instrument_celery(app: Any = None, *, tracer: SpanTracer | None = None, **options: Any) -> None:
    """Trace Celery's tasks: those of ``app``, or of every app. Needs ``mqtrace[celery]``."""
    _check(tracer)
    _celery().instrument(app, tracer, **options)


def uninstrument_celery() -> None:
    """Undo :func:`instrument_celery`, for every app and every tracer."""
    _celery().uninstrument()


def _check(tracer: object) -> None:
    if tracer is not None and not isinstance(tracer, SpanTracer):
        raise ConfigurationError(f"tracer={tracer!r} is not a tracer: write tracer=mqtrace.Tracer('order-service')")


def _celery() -> Any:
    try:
        from .clients import celery  # type: ignore[attr-defined,unused-ignore]
    except ImportError as error:
        raise ConfigurationError("Celery is not installed: pip install 'mqtrace[celery]'") from error
    return celery


def start_span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: Frame | Current | None = CURRENT,
    links: Iterable[Frame | Link | tuple[Frame, Mapping[str, object]]] = (),
    attributes: Mapping[str, object] | None = None,
    start_time: int | None = None,
) -> Span | NoopSpan:
    """A span of the default tracer, as :meth:`Tracer.start_span` makes it."""
    return tracers.default().start_span(
        name, kind=kind, parent=parent, links=links, attributes=attributes, start_time=start_time
    )


def inject(carrier: Any, context: Frame | None = None) -> None:
    """Write a context (what is current, if left out) into ``carrier``; see :meth:`Tracer.inject`."""
    tracers.default().inject(carrier, context)


def extract(carrier: Any) -> Context:
    """The context in ``carrier``; see :meth:`Tracer.extract`."""
    return tracers.default().extract(carrier)


def baggage() -> Mapping[str, str]:
    """The current baggage, name -> value, read-only; empty if there is none."""
    frame = current_frame()
    return MappingProxyType({} if frame is None or frame.baggage is None else dict(frame.baggage))


def set_baggage(name: str, value: str) -> Context:
    """The current context with this member of baggage: ``with mqtrace.use(mqtrace.set_baggage("tenant", "acme")):``.

    Never raises: a name or a value that is not text is ignored and counted.
    """
    return _with_baggage(tracers.default(), name, value)


def _with_baggage(tracer: SpanTracer, name: object, value: object) -> Context:
    frame = current_frame()
    context = EMPTY if frame is None else Context.of(frame)
    member, member_value = text(name), text(value)
    if not member or member_value is None:
        tracer.counters.calls_ignored += 1
        return context
    return context.with_baggage(**{member: member_value})


def flush(timeout: float = 5.0) -> bool:
    """Send the spans that have ended. ``timeout`` in seconds; True: all of them left in time."""
    return tracers.default().flush(timeout)


def shutdown(timeout: float = 5.0) -> bool:
    """End the spans that wait for a report, send all that have ended, and stop. ``timeout`` in seconds.

    True: all of them left in time.
    """
    return tracers.default().shutdown(timeout)


def stats() -> dict[str, Any]:
    """Counts of the default tracer; docs/configuration.md says what each means."""
    return tracers.default().stats()
