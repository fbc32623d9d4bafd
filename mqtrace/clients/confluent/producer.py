"""A confluent-kafka producer that is traced: a send span from ``produce`` to the delivery report.

The client passes headers and a callback by position, which its C code parses at a third of the cost of keywords. The
span is itself the callback; the one the user gave, to ``produce`` or in the configuration, is called after it. What is
in the configuration only a traced class sees; of an instance it is asked whether it holds any callback at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtrace.clients.proxy import Traced
from mqtrace.core import NoopSpan, Origin, SendBatchSpan, current_frame, start, start_send
from mqtrace.messaging.attributes import BATCH_COUNT
from mqtrace.messaging.kafka import SYSTEM, tombstone

from . import batches
from .sends import Headers, ReportedSend, Sends, refused

__all__ = ["DeliveryCallback", "TracedProducer"]

DeliveryCallback = Callable[[Any, Any], object]

#: `callback` left out. Given as None it hides `on_delivery`, as it does without tracing.
_UNSET: Any = object()


class TracedProducer(Traced):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Sends
    _mqtrace_bound = ("poll", "flush")

    def produce(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        partition: int = -1,
        callback: DeliveryCallback | None = _UNSET,
        on_delivery: DeliveryCallback | None = None,
        timestamp: int = 0,
        headers: Headers = None,
    ) -> None:
        """``confluent_kafka.Producer.produce``: same arguments in the same order, same errors."""
        if callback is _UNSET:
            callback = on_delivery
        sends = self._mqtrace
        operation = sends.operation
        client = sends.raw
        if client is None:
            client = self
        template = operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = sends.template(topic)
        if value is None:
            template = tombstone(template)
        span = start_send(template, ReportedSend)
        if type(span) is not ReportedSend:
            # Nothing is recorded. Where there is a context, it goes into the message all the same.
            if type(span) is bytes:
                if not headers and operation.w3c_only:
                    headers = [("traceparent", span)]
                else:
                    headers = sends.headers(NoopSpan(span), headers)
            elif span is not None:
                headers = sends.headers(span, headers)  # type: ignore[arg-type]  # a NoopSpan: what else is left
            try:
                sends.produce(client, topic, value, key, partition, callback, None, timestamp, headers)
            except TypeError as error:
                refused(None, error, headers)
                raise
            return
        if not headers and operation.w3c_only and span.baggage is None:
            state = span.state
            headers = [("traceparent", span.identity)]
            if state is not None:
                headers.append(("tracestate", state))
        else:
            headers = sends.headers(span, headers)
        if not sends.reported:
            sends.unreported(span, (client, topic, value, key, partition, callback, None, timestamp, headers))
            return
        span.callback = sends.callback if callback is None else callback
        waiting = sends.waiting
        waiting.spans.append(span)
        if len(waiting.spans) >= waiting.limit:
            waiting.sweep()
        try:
            sends.produce(client, topic, value, key, partition, span, None, timestamp, headers)
        except BaseException as error:
            refused(span, error, headers)
            raise

    def produce_batch(
        self,
        topic: str,
        messages: Any,
        partition: int = -1,
        callback: DeliveryCallback | None = _UNSET,
        on_delivery: DeliveryCallback | None = None,
    ) -> int:
        """``confluent_kafka.Producer.produce_batch``: a create span and a context for each message, one send span.

        The send span carries no message's own context, so it is a CLIENT span and links to every create span
        (conventions, "Batch sending"). It ends at the call: a report speaks of one message. The client's batch call
        cannot send headers, so where there is a context the messages go out one by one, as the batch would send them.
        What is not recorded has one context for all of its messages.
        """
        if callback is _UNSET:
            callback = on_delivery
        sends = self._mqtrace
        if sends.aside:
            return int(super().produce_batch(topic, messages, partition, callback))
        operation = sends.operation
        client = self if sends.raw is None else sends.raw
        kind = type(self)._mqtrace_wraps if sends.raw is None else type(sends.raw)
        key = ("send_batch", topic)
        template = operation.templates.get(key) if type(topic) is str else None
        if template is None:
            template = operation.make(key, SYSTEM, "send", str(topic), sends.endpoint, kind="client")
        sending = start(template, current_frame(), SendBatchSpan)
        writes = sending.identity is not None and bool(operation.tracer.propagator.fields)
        created: list[Origin] = []
        if isinstance(sending, SendBatchSpan):
            sending.origins = created
        recorded = sending.is_recording()
        if not (writes or recorded) or not isinstance(topic, str) or not batches.can_part(kind, messages):
            # What the client refuses, it refuses itself; and a subclass's own way to send a batch stays its own.
            return int(super().produce_batch(topic, messages, partition, callback))
        if not writes:
            with sending:
                sending.set_attribute(BATCH_COUNT, len(messages))
                sent = int(super().produce_batch(topic, messages, partition, callback))
                return batches.refused(sending, messages, sent)
        produce = batches.plain_produce(client)
        if not recorded:
            # Not recorded: there is one context for all of them, and no span of theirs.
            return batches.produce_all(produce, topic, messages, partition, callback, sends.headers(sending, None))
        with sending:
            sending.set_attribute(BATCH_COUNT, len(messages))
            create = sends.create_template(topic)
            sent = 0
            for message in messages:
                headers = sends.created(create, created)
                error = batches.produce(produce, topic, message, partition, callback, headers)
                if error is None:
                    sent += 1
                else:
                    message["_error"] = error
            return batches.refused(sending, messages, sent)

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client; a message that has no report by then was not delivered as far as anyone knows."""
        try:
            return super().close(*args, **kwargs)
        finally:
            self._mqtrace.waiting.abandon("closed before the delivery report")

    def __enter__(self) -> TracedProducer:
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        try:
            return super().__exit__(*exception)
        finally:
            self._mqtrace.waiting.abandon("closed before the delivery report")
