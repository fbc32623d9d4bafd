"""What is ours of a traced producer: its templates, the context in its headers, the spans that await a report."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka.cimpl import Producer

from mqtrace.clients.proxy import State
from mqtrace.core import NoopSpan, Origin, SendSpan, Span, Template, start_send
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, end, kafka
from mqtrace.messaging.pending import Pending
from mqtrace.tracer import SpanTracer

from .configuration import configuration_of, from_configuration
from .signal_errors import interruption

__all__ = ["Headers", "LaterHeaders", "Produce", "ReportedSend", "Sends", "refused"]

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
        finally:  # a signal's handler may raise in any line above; the user's report comes all the same
            callback = self.callback
            if callback is not None:
                self.callback = None
                callback(error, message)


class Sends(State):
    """The state of one traced producer. ``options``: what the user told ``wrap``.

    ``produce`` is called with the client: bound to it, it would be a cycle in the objects of a traced class.
    """

    __slots__ = (
        "_constructor",
        "_options",
        "all_reported",
        "aside",
        "callback",
        "endpoint",
        "operation",
        "produce",
        "reported",
        "waiting",
    )

    def __init__(
        self, tracer: SpanTracer | None, produce: Produce, options: Mapping[str, Any], *, constructor: bool = False
    ) -> None:
        super().__init__()
        self._options = options
        #: Whether the constructor takes a configuration and nothing else: what another makes of it is not known.
        self._constructor = constructor
        self.operation = Operation("send", tracer)
        self.produce = produce
        self.callback: Callable[[Any, Any], object] | None = None
        #: Whether a successful send has a report.
        self.all_reported = True
        #: Whether every message gets a report that the span may take: otherwise the span ends at the call.
        self.reported = False
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.waiting = Pending(self.operation)
        #: Whether an AIOProducer around this one traces what it sends.
        self.aside = False

    # ------------------------------------------------------------------ what the producer is

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        configuration = configuration_of(args, kwargs)
        configuration.update({name.replace("_", "."): value for name, value in self._options.items()})
        self.endpoint = from_configuration(configuration)
        self.callback = configuration.get("on.delivery", configuration.get("on_delivery"))
        self.all_reported = str(configuration.get("delivery.report.only.error", "false")).lower() not in ("true", "1")

    def opened(self, client: Any) -> None:
        """Note which callbacks the client has, now that it is configured."""
        if "on_delivery" in self._options:
            known = True
        elif self.callback is None:
            known = self._constructor
        else:
            known = holds(client, self.callback)
        self.reported = self.all_reported and (known or not holds_callback(client))

    def template(self, topic: Any) -> Template:
        """The template of a topic, made."""
        name = topic if isinstance(topic, str) else str(topic)
        self.waiting.attend()
        return self.operation.make(name, kafka.SYSTEM, "send", name, self.endpoint)

    # ------------------------------------------------------------------ the context in the headers

    def headers(self, span: Span | NoopSpan, headers: Headers) -> Headers:
        """The user's headers with the context in them, in a copy; what the client will refuse is left to it."""
        if type(headers) is LaterHeaders:
            headers.span = span
            return headers
        return kafka.with_context(self.operation, span, headers)

    def create_template(self, topic: str) -> Template:
        """The template of the create spans of a batch to this topic."""
        key = ("create", topic)
        return self.operation.templates.get(key) or self.operation.make(
            key, kafka.SYSTEM, "create", topic, self.endpoint, verb="create"
        )

    def created(self, template: Template, origins: list[Origin]) -> Headers:
        """The headers of one message of a batch: the context of a create span, which has begun and ended here.

        What the batch links to is put into ``origins``. Flat like ``produce``: it runs once a message.
        """
        span = start_send(template)
        if type(span) is not SendSpan:
            if type(span) is bytes:
                span = NoopSpan(span)
            return None if span is None else self.headers(span, None)  # type: ignore[arg-type]  # a NoopSpan
        if self.operation.w3c_only and span.baggage is None:
            headers = [("traceparent", span.identity)]
            if span.state is not None:
                headers.append(("tracestate", span.state))  # type: ignore[arg-type]  # text or bytes, as headers are
        else:
            headers = self.headers(span, None)
        span.end()
        origins.append((span.identity, -1, -1, None))
        return headers

    def unreported(self, span: ReportedSend, arguments: tuple[Any, ...]) -> None:
        """Send a message whose report the span cannot take, by these arguments of ``produce``; end it at the call."""
        try:
            self.produce(*arguments)
            span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            refused(span, error, arguments[-1])
            raise


class LaterHeaders:
    """Headers that are read when a client has serialized the message: serializers see those that the user gave.

    It takes the place of the headers and of the client in the client's ``produce`` (serializing.py).
    """

    __slots__ = ("client", "given", "sends", "sent", "span")

    def __init__(self, client: Any, sends: Sends, given: Headers) -> None:
        self.client = client
        self.sends = sends
        self.given = given
        self.sent: Headers = given
        #: What the context is of; None: there is no context.
        self.span: Span | NoopSpan | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def produce(self, *args: Any, headers: Headers = None, **named: Any) -> Any:
        """``produce`` of the client's base class, with the context in the headers."""
        self.sent = headers if self.span is None else self.sends.headers(self.span, headers)
        named["headers"] = self.sent
        return Producer.produce(self.client, *args, **named)


def refused(span: SendSpan | None, error: BaseException, headers: Headers) -> None:
    """End the span of a ``produce`` that raised; an interrupt that the client lost on the way is raised.

    The span keeps its callback. The client may have taken the message before a signal's handler raised, and then it
    calls the span with the report; a message that it has refused it forgets.
    """
    lost = interruption(error, headers.sent if type(headers) is LaterHeaders else headers)
    if span is not None:
        end(span, error if lost is None else lost)
    if lost is not None:
        raise lost from None


def holds_callback(client: Any) -> bool:
    """Whether a client was configured with any callback: it does not say which one, nor for what."""
    own = getattr(client, "__dict__", None)
    users = {id(value) for value in own.values()} if isinstance(own, dict) else set()
    return any(
        callable(one) and not isinstance(one, type) and id(one) not in users
        for one in gc.get_referents(client)
        if one is not own
    )


def holds(client: Any, callback: Any) -> bool:
    """Whether a client holds this callback, for whatever it is."""
    return any(one is callback or one == callback for one in gc.get_referents(client))
