"""What the traced client of a library that mqtrace does not know is made of. docs/own-client.md makes one.

:func:`traced` makes it; :class:`SendState` is its state; a subclass of :class:`Traced` overrides the methods that send.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from mqtrace import carriers
from mqtrace.clients.proxy import State, Traced, wrapped
from mqtrace.core import Attribute, NoopSpan, SendSpan, start_send
from mqtrace.messaging import Operation, carry, end
from mqtrace.tracer import SpanTracer

from .options import expect

__all__ = ["SendState", "Sending", "Traced", "traced"]


class SendState(State):
    """The ``_mqtrace`` of a traced client that sends. ``system``: ``messaging.system`` of its spans."""

    __slots__ = ("_operation", "_system")

    def __init__(self, system: str, tracer: SpanTracer | None) -> None:
        super().__init__()
        self._system = system
        self._operation = Operation("send", tracer)

    def send(self, destination: str | None, headers: Any, attributes: Mapping[str, Attribute] | None = None) -> Sending:
        """``with self._mqtrace.send("orders", headers) as sending:`` the send span of one message.

        Send it with ``sending.headers``: a copy of ``headers`` with the context in it. ``headers``: a carrier or a
        native object that one recognises; None becomes a dict. An exception in the block is the span's error.
        """
        operation = self._operation
        sending = Sending(headers)
        try:
            template = operation.templates.get(destination)
            if template is None:
                template = operation.make(destination, self._system, "send", destination)
            span = start_send(template)
            if isinstance(span, SendSpan):
                sending.span = span
                if attributes:
                    span.set_attributes(attributes)
            if span is not None:
                sending.headers = _with_context(operation.tracer, span, headers)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a message is sent without its context")
        return sending


def _with_context(tracer: SpanTracer, span: SendSpan | NoopSpan | bytes, headers: Any) -> Any:
    carrier = carriers.recognise({} if headers is None else copy.copy(headers))
    frame = NoopSpan(span) if isinstance(span, bytes) else span
    sent_ms = frame.start_time // 1_000_000 if isinstance(frame, SendSpan) else None
    if not carry(tracer, frame, carrier, sent_ms):
        return headers
    return carrier if isinstance(headers, carriers.Carrier) else getattr(carrier, "native", headers)


class Sending:
    """A message that is being sent, for ``with``."""

    __slots__ = ("headers", "span")

    #: The headers to send it with.
    headers: Any
    #: Its span; None if that is not recorded.
    span: SendSpan | None

    def __init__(self, headers: Any) -> None:
        self.headers = headers
        self.span = None

    def __enter__(self) -> Sending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.span is not None:
            end(self.span, error)


def traced(
    client: Any,
    methods: type[Traced],
    state: Callable[[], State],
    tracer: SpanTracer | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """A client, or its class, whose ``methods`` are traced; everything else is the client's own.

    ``state`` makes the state of one object, for example a :class:`SendState`. ``options``: those of ``wrap`` that the
    caller has not used; any raises ConfigurationError.
    """
    expect(options or {}, (), "this client has no such options, leave them out")
    return wrapped(client, tracer, lambda _: methods, state)
