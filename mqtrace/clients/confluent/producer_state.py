"""The state of a traced producer: its templates, the context in the headers, the spans that wait for a report."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka.cimpl import Producer

from mqtrace.clients.kafka_clients import KafkaProducerState
from mqtrace.core import NoopSpan, Origin, SendSpan, Span, Template, start_send
from mqtrace.messaging import end, kafka
from mqtrace.tracer import SpanTracer

from .configuration import configuration_of, from_configuration
from .signal_errors import interruption

__all__ = ["DeferredHeaders", "Headers", "Produce", "ProducerState", "ReportedSend", "produce_failed"]

Headers = Any
#: ``produce`` of a client's class: the client, then topic, value, key, partition, callback, None, timestamp, headers.
Produce = Callable[..., Any]


class ReportedSend(SendSpan):
    """A send span that is its own delivery callback.

    librdkafka keeps it until the report: a closure or a partial a message would cost 15 to 35 % more.
    """

    __slots__ = ("callback",)

    #: The user's delivery callback, called after the span has ended.
    callback: Callable[[Any, Any], object] | None

    def __call__(self, error: Any, message: Any) -> None:
        """The delivery report: a KafkaError or None, and the message."""
        try:
            if error is None:
                self.delivered(message.partition(), message.offset())
            else:
                name = error.name() if callable(getattr(error, "name", None)) else type(error).__name__
                self.failed(str(name), str(error))
        finally:  # a signal's handler may raise in any line above; the user's callback is called all the same
            callback = self.callback
            if callback is not None:
                self.callback = None
                callback(error, message)


class ProducerState(KafkaProducerState):
    """The state of one traced producer. ``options``: those of ``wrap``.

    ``produce`` takes the client as its first argument. Bound to it, it would be a cycle in an object of a traced class.
    """

    __slots__ = (
        "_options",
        "_takes_configuration",
        "callback",
        "produce",
        "reports_success",
        "span_is_callback",
        "within_aio",
    )

    def __init__(
        self,
        tracer: SpanTracer | None,
        produce: Produce,
        options: Mapping[str, Any],
        *,
        takes_configuration: bool = False,
    ) -> None:
        super().__init__(tracer)
        self._options = options
        #: Whether the constructor takes a configuration and nothing else. What another does with it is not known.
        self._takes_configuration = takes_configuration
        self.produce = produce
        #: The delivery callback in the configuration.
        self.callback: Callable[[Any, Any], object] | None = None
        #: Whether there is a report for a message that was delivered, and not only for one that failed.
        self.reports_success = True
        #: Whether the span can be the delivery callback of every message. Otherwise it ends at the call.
        self.span_is_callback = False
        #: Whether this is the Producer within an AIOProducer that traces what it sends.
        self.within_aio = False

    # ------------------------------------------------------------------ what the producer is

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        configuration = configuration_of(args, kwargs, self._options)
        self.endpoint = from_configuration(configuration)
        self.callback = configuration.get("on.delivery", configuration.get("on_delivery"))
        only_errors = str(configuration.get("delivery.report.only.error", "false"))
        self.reports_success = only_errors.lower() not in ("true", "1")

    def opened(self, client: Any) -> None:
        """Note whether the client has callbacks that are not known, now that it is configured."""
        if "on_delivery" in self._options:
            is_known = True
        elif self.callback is None:
            is_known = self._takes_configuration
        else:
            is_known = holds(client, self.callback)
        self.span_is_callback = self.reports_success and (is_known or not holds_callback(client))

    def closed(self) -> None:
        """End the spans of messages without a report: as far as is known these were not delivered."""
        self.pending.abandon("closed before the delivery report")

    # ------------------------------------------------------------------ the context in the headers

    def headers(self, span: Span | NoopSpan, headers: Headers) -> Headers:
        """A copy of the user's headers with the context in it. Headers that the client will refuse stay as they are."""
        if type(headers) is DeferredHeaders:
            headers.span = span
            return headers
        return kafka.with_context(self.operation, span, headers)

    def create_template(self, topic: str) -> Template:
        """The template of the create spans of a batch to this topic."""
        key = ("create", topic)
        return self.operation.templates.get(key) or self.operation.make(
            key, kafka.SYSTEM, "create", topic, self.endpoint, verb="create"
        )

    def create_headers(self, template: Template, origins: list[Origin]) -> Iterator[Headers]:
        """Make a create span for each message of a batch, and yield headers with its context.

        What the span of the batch links to is appended to ``origins``. Flat like ``produce``: it runs once a message.
        """
        while True:
            span = start_send(template)
            if type(span) is not SendSpan:
                if type(span) is bytes:
                    span = NoopSpan(span)
                yield None if span is None else self.headers(span, None)  # type: ignore[arg-type]  # a NoopSpan
                continue
            if self.operation.w3c_only and span.baggage is None:
                headers = [("traceparent", span.identity)]
                if span.state is not None:
                    headers.append(("tracestate", span.state))  # type: ignore[arg-type]  # text or bytes, as headers are
            else:
                headers = self.headers(span, None)
            span.end()
            origins.append((span.identity, -1, -1, None))
            yield headers

    def produce_unreported(self, span: ReportedSend, arguments: tuple[Any, ...]) -> None:
        """Send a message of which the span gets no report, with these arguments of ``produce``. It ends at the call."""
        try:
            self.produce(*arguments)
            span.end()  # within the try: a signal's handler may raise before `end` has begun
        except BaseException as error:
            produce_failed(span, error, arguments[-1])
            raise


class DeferredHeaders:
    """Headers that get the context after the client has serialized the message: serializers see the user's headers.

    It takes the place of the headers, and of the client, in the client's ``produce`` (serializing.py).
    """

    __slots__ = ("client", "original", "sent", "span", "state")

    def __init__(self, client: Any, state: ProducerState, original: Headers) -> None:
        self.client = client
        self.state = state
        self.original = original
        self.sent: Headers = original
        #: The span whose context goes into the headers; None if there is no context.
        self.span: Span | NoopSpan | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def produce(self, *args: Any, headers: Headers = None, **named: Any) -> Any:
        """``produce`` of the client's base class, with the context in the headers."""
        self.sent = headers if self.span is None else self.state.headers(self.span, headers)
        named["headers"] = self.sent
        return Producer.produce(self.client, *args, **named)


def produce_failed(span: SendSpan | None, error: BaseException, headers: Headers) -> None:
    """End the span of a ``produce`` that raised. Raises an interrupt that the client has replaced by ``error``.

    The span keeps its callback. The client may have taken the message before a signal's handler raised, and will then
    call the span with the report; it forgets the callback of a message that it has refused.
    """
    lost = interruption(error, headers.sent if type(headers) is DeferredHeaders else headers)
    if span is not None:
        end(span, error if lost is None else lost)
    if lost is not None:
        raise lost from None


def holds_callback(client: Any) -> bool:
    """Whether a client was configured with any callback: which one, and for what, it does not show."""
    attributes = getattr(client, "__dict__", None)
    users = {id(value) for value in attributes.values()} if isinstance(attributes, dict) else set()
    return any(
        callable(held) and not isinstance(held, type) and id(held) not in users
        for held in gc.get_referents(client)
        if held is not attributes
    )


def holds(client: Any, callback: Any) -> bool:
    """Whether a client was configured with this callback, for whatever event."""
    return any(held is callback or held == callback for held in gc.get_referents(client))
