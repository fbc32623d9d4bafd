"""A confluent-kafka producer that is traced: a send span from ``produce`` to the delivery report.

The client passes headers and a callback by position, which its C code parses at a third of the cost of keywords. The
span is itself the callback; the one the user gave, to ``produce`` or in the configuration, is called after it. What is
in the configuration only the wrapped class sees; of an instance it is asked whether it holds any callback at all.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Final

import confluent_kafka

from mqtrace.carriers import KafkaHeaders
from mqtrace.clients.proxy import Proxy, is_the_users
from mqtrace.core import NoopSpan, SendSpan, Span, Template, current_frame, start, start_send
from mqtrace.messaging import Facts, Operation, carry, end
from mqtrace.tracer import SpanTracer

from . import batches
from .facts import SYSTEM, TOMBSTONE
from .interrupts import interruptible, interruption
from .waiting import Waiting

__all__ = ["TracedProducer", "TracedSerializingProducer"]

Callback = Callable[[Any, Any], object]
Headers = Any

#: `callback` left out. Given as None it hides `on_delivery`, as it does without tracing.
_UNSET: Any = object()
#: The names that may say a context, in W3C's formats.
_CONTEXT: Final = frozenset(("traceparent", "tracestate", "baggage"))


class TracedProducer(Proxy):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset(
        {"_raw", "_operation", "_produce", "_callback", "_reported", "_facts", "_waiting", "poll", "flush"}
    )
    _operation: Operation
    _produce: Callable[..., None]

    def __init__(
        self,
        raw: Any,
        tracer: SpanTracer | None,
        facts: Facts,
        *,
        callback: Callback | None = None,
        callback_known: bool = False,
        reported: bool = True,
    ) -> None:
        self._operation = Operation("send", tracer)
        self._produce = raw.produce
        self._callback = callback
        #: Whether every message gets a report that this proxy may take: otherwise the span ends at the call.
        self._reported = reported and (callback_known or not holds_callback(raw))
        self._facts = facts
        self._waiting = Waiting()
        self._raw = raw
        # A call through __getattr__ costs more than the poll itself.
        for name in ("poll", "flush"):
            if not is_the_users(type(self), name):
                object.__setattr__(self, name, self._way(name))

    def _way(self, name: str) -> Callable[..., Any]:
        method = super()._way(name)
        own = getattr(confluent_kafka.Producer, name, None)
        serves = name in ("poll", "flush") and getattr(type(self._raw), name, None) is own
        return interruptible(method) if serves else method

    def produce(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        partition: int = -1,
        callback: Callback | None = _UNSET,
        on_delivery: Callback | None = None,
        timestamp: int = 0,
        headers: Headers = None,
    ) -> None:
        """``confluent_kafka.Producer.produce``: same arguments in the same order, same errors."""
        if callback is _UNSET:
            callback = on_delivery
        operation = self._operation
        template = operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = self._template(topic)
        if value is None:
            template = tombstone(template)
        span = start_send(template)
        if type(span) is not SendSpan:
            # Nothing is recorded. Where there is a context, it goes into the message all the same.
            if type(span) is bytes:
                if not headers and operation.direct:
                    headers = [("traceparent", span)]
                else:
                    headers = self._headers(NoopSpan(span), headers)
            elif span is not None:
                headers = self._headers(span, headers)  # type: ignore[arg-type]  # a NoopSpan: what else is left
            try:
                return self._produce(topic, value, key, partition, callback, None, timestamp, headers)
            except TypeError as error:
                refused(None, error, headers)
                raise
        if not headers and operation.direct and span.baggage is None:
            state = span.state
            headers = [("traceparent", span.identity)]
            if state is not None:
                headers.append(("tracestate", state))
        else:
            headers = self._headers(span, headers)
        if not self._reported:
            return self._without_report(span, (topic, value, key, partition, callback, None, timestamp, headers))
        span.callback = self._callback if callback is None else callback
        waiting = self._waiting
        waiting.spans.append(span)
        if len(waiting.spans) >= waiting.limit:
            waiting.sweep()
        try:
            self._produce(topic, value, key, partition, span, None, timestamp, headers)
        except BaseException as error:
            span.callback = None
            refused(span, error, headers)
            raise

    def produce_batch(
        self,
        topic: str,
        messages: Any,
        partition: int = -1,
        callback: Callback | None = _UNSET,
        on_delivery: Callback | None = None,
    ) -> int:
        """``confluent_kafka.Producer.produce_batch``: a create span and a context for each message, one send span.

        The send span carries no message's own context, so it is a CLIENT span and links to every create span
        (conventions, "Batch sending"). It ends at the call: a report speaks of one message. The client's batch call
        cannot send headers, so where there is a context the messages go out one by one, as the batch would send them.
        """
        if callback is _UNSET:
            callback = on_delivery
        operation = self._operation
        key = ("send_batch", topic)
        template = operation.templates.get(key) if type(topic) is str else None
        if template is None:
            template = operation.make(key, SYSTEM, "send", str(topic), self._facts, kind="client")
        sending = start(template, current_frame(), Span)
        if sending.identity is None or not isinstance(topic, str) or not batches.can_part(self._raw, messages):
            # what the client refuses, it refuses itself; and a subclass's own way to send a batch stays its own
            return int(self._raw.produce_batch(topic, messages, partition, callback))
        with sending:
            sending.set_attribute("messaging.batch.message_count", len(messages))
            sent = 0
            produce = batches.plain_produce(self._raw)
            for message in messages:
                headers = self._created(topic, sending)
                error = batches.produce(produce, topic, message, partition, callback, headers)
                if error is None:
                    sent += 1
                else:
                    message["_error"] = error
            if sent < len(messages):
                sending.set_attribute("error.type", "partial_failure")
                sending.set_status("error", f"{len(messages) - sent} of {len(messages)} messages were refused")
        return sent

    def _created(self, topic: str, sending: Span | NoopSpan) -> Headers:
        """The headers of one message of a batch: the context of a create span."""
        operation = self._operation
        key = ("create", topic)
        template = operation.templates.get(key)
        if template is None:
            template = operation.make(key, SYSTEM, "create", topic, self._facts, verb="create")
        span = start(template, sending, Span)
        headers = self._headers(span, None)
        if isinstance(span, Span):
            span.end()
            sending.add_link(span)
        return headers

    def _template(self, topic: Any) -> Template:
        name = topic if isinstance(topic, str) else str(topic)
        tracer = self._operation.tracer
        tracer.holders.add(self)
        tracer.processor.start()  # its upkeep ends spans whose report nobody asks for
        return self._operation.make(name, SYSTEM, "send", name, self._facts)

    def _headers(self, span: Span | NoopSpan, headers: Headers) -> Headers:
        """The user's headers with the context in them, in a copy; what the client will refuse is left to it."""
        operation = self._operation
        if operation.direct and headers and span.baggage is None and span.identity is not None:
            with_context = headers_with(span, headers)
            if with_context is not None:
                return with_context
        if isinstance(headers, list):
            copy: Any = list(headers)
        elif isinstance(headers, dict):
            copy = dict(headers)
        elif headers is None:
            copy = []
        else:
            return headers
        try:
            carrier = KafkaHeaders(copy)
            return carrier.native if carry(operation.tracer, span, carrier) else headers
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("headers that cannot be read are sent as they are")
            return headers

    def _await(self, span: SendSpan) -> None:
        """Hold a span until its report."""
        waiting = self._waiting
        waiting.spans.append(span)
        if len(waiting.spans) >= waiting.limit:
            waiting.sweep()

    def _without_report(self, span: SendSpan, arguments: tuple[Any, ...]) -> None:
        try:
            self._produce(*arguments)
            span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            refused(span, error, arguments[-1])
            raise

    # ------------------------------------------------------------------ spans whose report never comes

    def expire(self) -> None:
        """End the spans that have waited for their report longer than MQTRACE_REPORT_TIMEOUT."""
        tracer = self._operation.tracer
        self._waiting.expire(tracer.pipeline.clock.now() - int(tracer.settings.report_timeout * 1e9))

    def release(self, tracer: SpanTracer) -> None:
        """End every span of this tracer that still waits: it is about to be shut down."""
        self._waiting.release(tracer.pipeline)

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client; a message that has no report by then was not delivered as far as anyone knows."""
        try:
            return self._raw.close(*args, **kwargs)
        finally:
            self._waiting.abandon("closed before the delivery report")

    def purge(self, *args: Any, **kwargs: Any) -> Any:
        """``purge`` of the client. The messages it drops are reported with an error by the next poll or flush."""
        return self._raw.purge(*args, **kwargs)

    def __enter__(self) -> TracedProducer:
        self._raw.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        try:
            return self._raw.__exit__(*exception)
        finally:
            self._waiting.abandon("closed before the delivery report")

    def __del__(self) -> None:
        try:
            self._waiting.abandon("discarded before the delivery report")
        except Exception:  # noqa: BLE001, S110  # at the interpreter's exit anything may be gone, and nobody listens
            pass


def refused(span: SendSpan | None, error: BaseException, headers: Headers) -> None:
    """End the span of a message that the client did not take; an interrupt that it lost on the way is raised."""
    lost = interruption(error, headers)
    if span is not None:
        end(span, error if lost is None else lost)
    if lost is not None:
        raise lost from None


def headers_with(span: Span | NoopSpan, headers: Headers) -> Headers | None:
    """The user's headers and the context, where none of them is one of W3C's; None where that is not so simple."""
    try:
        if not _CONTEXT.isdisjoint(dict(headers)):
            return None
    except (TypeError, ValueError):  # no pairs: the client says what it thinks of them
        return None
    own = (
        [("traceparent", span.identity)]
        if span.state is None
        else [
            ("traceparent", span.identity),
            ("tracestate", span.state),
        ]
    )
    if type(headers) is list:
        return headers + own
    return {**headers, **dict(own)} if type(headers) is dict else None


class TracedSerializingProducer(TracedProducer):
    """The same for ``SerializingProducer``, whose ``produce`` takes the key before the value."""

    def __init__(self, raw: Any, tracer: SpanTracer | None, facts: Facts, **options: Any) -> None:
        super().__init__(raw, tracer, facts, **options)
        self._produce = _KeyFirst(raw.produce)

    def produce(  # type: ignore[override]  # the order differs in the client too
        self,
        topic: str,
        key: Any = None,
        value: Any = None,
        partition: int = -1,
        on_delivery: Callback | None = None,
        timestamp: int = 0,
        headers: Headers = None,
    ) -> None:
        """``confluent_kafka.SerializingProducer.produce``: same arguments in the same order, same errors."""
        super().produce(topic, value, key, partition, on_delivery, None, timestamp, headers)


class _KeyFirst:
    """``SerializingProducer.produce`` with the arguments of ``Producer.produce``."""

    __slots__ = ("produce",)

    def __init__(self, produce: Callable[..., None]) -> None:
        self.produce = produce

    def __call__(
        self, topic: Any, value: Any, key: Any, partition: Any, callback: Any, _: None, timestamp: Any, headers: Any
    ) -> None:
        self.produce(topic, key, value, partition, callback, timestamp, headers)


def tombstone(template: Template) -> Template:
    """The same operation on a message without a value (:data:`TOMBSTONE`)."""
    if template.tombstone is None:
        template.tombstone = template.with_attribute(TOMBSTONE, True)
    return template.tombstone


def holds_callback(raw: Any) -> bool:
    """Whether a client was configured with any callback: it does not say which one, nor for what."""
    own = getattr(raw, "__dict__", None)
    return any(callable(one) and not isinstance(one, type) for one in gc.get_referents(raw) if one is not own)


def holds(raw: Any, callback: Any) -> bool:
    """Whether a client holds this callback, for whatever it is."""
    return any(one is callback or one == callback for one in gc.get_referents(raw))
