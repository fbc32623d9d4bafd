"""A traced confluent-kafka producer: a send span lasts from ``produce`` to the delivery report.

The client's ``produce`` is called with positions only: its C code parses keywords three times slower. The span is the
delivery callback, and calls the user's, from ``produce`` or the configuration, after it has ended. Only a traced class
sees the configuration; an instance shows no more than whether it holds some callback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from mqtrace.clients.kafka_clients import TracedCloseBlock
from mqtrace.core import NoopSpan, Origin, SendBatchSpan, current_frame, start, start_send
from mqtrace.messaging.attributes import BATCH_COUNT
from mqtrace.messaging.kafka import tombstone

from . import batches
from .producer_state import Headers, ProducerState, ReportedSend, produce_failed

__all__ = ["DeliveryCallback", "TracedProducer"]

DeliveryCallback = Callable[[Any, Any], object]

#: The default of `callback`. None is another value: it hides `on_delivery`, as it does without tracing.
_UNSET: Any = object()


class TracedProducer(TracedCloseBlock):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: ProducerState
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
        state = self._mqtrace
        operation = state.operation
        client = state.raw
        if client is None:
            client = self
        template = operation.templates.get(topic) if type(topic) is str else None
        if template is None:
            template = state.template(topic if type(topic) is str else None, topic)
        if value is None:
            template = tombstone(template)
        span = start_send(template, ReportedSend)
        if type(span) is not ReportedSend:
            # Nothing is recorded. If there is a context, it goes into the message all the same.
            if type(span) is bytes:
                if not headers and operation.w3c_only:
                    headers = [("traceparent", span)]
                else:
                    headers = state.headers(NoopSpan(span), headers)
            elif span is not None:
                headers = state.headers(span, headers)  # type: ignore[arg-type]  # a NoopSpan
            try:
                state.produce(client, topic, value, key, partition, callback, None, timestamp, headers)
            except TypeError as error:
                produce_failed(None, error, headers)
                raise
            return
        if not headers and operation.w3c_only and span.baggage is None:
            tracestate = span.state
            headers = [("traceparent", span.identity)]
            if tracestate is not None:
                headers.append(("tracestate", tracestate))
        else:
            headers = state.headers(span, headers)
        if not state.span_is_callback:
            state.produce_unreported(span, (client, topic, value, key, partition, callback, None, timestamp, headers))
            return
        span.callback = state.callback if callback is None else callback
        pending = state.pending
        pending.spans.append(span)
        if len(pending.spans) >= pending.limit:
            pending.sweep()
        try:
            state.produce(client, topic, value, key, partition, span, None, timestamp, headers)
        except BaseException as error:
            produce_failed(span, error, headers)
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

        No message carries the context of the send span, so it is a CLIENT span and links to every create span
        (conventions, "Batch sending"). It ends at the call, since a report is about one message. The client's batch
        call cannot send headers, so messages with a context go out one by one, as the batch would send them. The
        messages of a batch that is not recorded have one context.
        """
        if callback is _UNSET:
            callback = on_delivery
        state = self._mqtrace
        if state.within_aio:
            return int(super().produce_batch(topic, messages, partition, callback))
        operation = state.operation
        client = self if state.raw is None else state.raw
        kind = type(self)._mqtrace_wraps if state.raw is None else type(state.raw)
        key = ("send_batch", topic)
        template = operation.templates.get(key) if type(topic) is str else None
        if template is None:
            template = state.template(key, topic, "client")
        span = start(template, current_frame(), SendBatchSpan)
        has_context = span.identity is not None and bool(operation.tracer.propagator.fields)
        origins: list[Origin] = []
        if isinstance(span, SendBatchSpan):
            span.origins = origins
        is_recording = span.is_recording()
        if (
            not (has_context or is_recording)
            or not isinstance(topic, str)
            or not batches.can_send_singly(kind, messages)
        ):
            return int(super().produce_batch(topic, messages, partition, callback))
        produce = batches.base_produce(client)
        if not is_recording:
            headers: Iterator[Any] = repeat(state.headers(span, None))
            return batches.produce_all(produce, topic, messages, partition, callback, headers)
        with span:
            span.set_attribute(BATCH_COUNT, len(messages))
            if has_context:
                headers = state.create_headers(state.create_template(topic), origins)
                sent = batches.produce_all(produce, topic, messages, partition, callback, headers)
            else:
                sent = int(super().produce_batch(topic, messages, partition, callback))
            return batches.note_refused(span, messages, sent)
