"""confluent_kafka.aio: AIOProducer and AIOConsumer, as objects and as classes.

The client's ``produce`` collects messages for a batch call, which takes no headers. So a message with a context is sent
singly, by the Producer within the client, whose own tracing is skipped. A message without a context, or one that a
batch would refuse, is sent as without mqtrace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import aio as library
from confluent_kafka.aio import AIOConsumer, AIOProducer
from confluent_kafka.cimpl import Producer

from mqtrace.clients.async_kafka_clients import AsyncProducerState, TracedClose
from mqtrace.clients.kafka_clients import wrap_one_of
from mqtrace.clients.options import expect
from mqtrace.clients.proxy import is_traced
from mqtrace.core import ForkSafeLock
from mqtrace.messaging import kafka
from mqtrace.messaging.futures import FutureSpan, end_with, until_done
from mqtrace.tracer import SpanTracer

from . import batches
from .aio_consumer import AIOConsumerState, TracedAIOConsumer, endpoint_of
from .reports import Inbox, Report

__all__ = ["wrap"]

#: The options of `wrap`: what an instance does not show of its configuration.
_OPTIONS: Final = ("client_id", "group_id", "bootstrap_servers")
#: Classes whose objects a coroutine makes, without the constructor. Not every version has them.
_MADE_BY_COROUTINE: Final = tuple(
    getattr(library, name)
    for name in ("AsyncSerializingProducer", "AsyncDeserializingConsumer")
    if hasattr(library, name)
)
#: How long one poll waits for reports, in a thread of the client's executor.
_POLL_S: Final = 0.05


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    if isinstance(client, type):
        if issubclass(client, _MADE_BY_COROUTINE):
            return None
    elif isinstance(client, AIOProducer) and type(client).produce is not AIOProducer.produce:
        return None
    if issubclass(client if isinstance(client, type) else type(client), (AIOProducer, AIOConsumer)):
        expect(options, _OPTIONS, f"for confluent_kafka.aio write {list(_OPTIONS)}")
    clients = (
        (AIOProducer, TracedAIOProducer, partial(AIOProducerState, tracer, options)),
        (AIOConsumer, TracedAIOConsumer, partial(AIOConsumerState, tracer, options)),
    )
    return wrap_one_of(clients, client, shared=tracer is None and not options)


# ---------------------------------------------------------------------- sending


class FutureSend(FutureSpan):
    """The span of a message. It ends with the message's future."""

    __slots__ = ()

    def place(self, report: Any) -> tuple[int, int]:
        """Partition and offset of the Message of the delivery report."""
        return report.partition(), report.offset()


class AIOProducerState(AsyncProducerState):
    """The state of a traced producer. ``produced``: how many messages were sent singly."""

    __slots__ = ("_inbox", "_is_serving", "_lock", "produced")
    endpoint_of = staticmethod(endpoint_of)

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__(tracer, options)
        self._lock = ForkSafeLock()
        self._is_serving = False
        self.produced = 0
        self._inbox: Inbox | None = None

    def opened(self, client: Any) -> None:
        """Make the Producer within trace no batches, if ``mqtrace run`` has put a traced one into the client."""
        if is_traced(type(client._producer)):
            client._producer._mqtrace.within_aio = True

    def produce(self, client: Any, span: Any, topic: str, message: Mapping[str, Any]) -> asyncio.Future[Any]:
        """Send a message singly. Its future completes as in a batch, errors included."""
        loop, inbox = asyncio.get_running_loop(), self._inbox
        if inbox is None or inbox.loop is not loop:
            inbox = self._inbox = Inbox(loop)
        report = Report(inbox)
        headers = kafka.with_context_in_list(self.operation, span, None)
        call = batches.base_produce(client._producer)
        try:
            error = batches.produce(call, topic, message, message.get("partition", -1), report, headers)
        except Exception as raised:  # noqa: BLE001  # an error of a batch fails its futures
            error = raised  # type: ignore[assignment]  # either
        if error is not None:
            inbox.awaited.discard(report)
            report.complete(error, None)
        else:
            self._serve(client)
        return report.future

    def _serve(self, client: Any) -> None:
        """Poll in the client's executor as long as reports are awaited: the application may never poll."""
        if self._is_serving:  # `_poll` calls this again when it is done
            return
        with self._lock.lock:
            if self._is_serving or self._inbox is None or not self._inbox.awaited or client._is_closed:
                return
            self._is_serving = True  # before submit: `_poll` may be over before submit returns
            try:
                client.executor.submit(self._poll, client)
            except RuntimeError:  # it is shut down
                self._is_serving = False

    def _poll(self, client: Any) -> None:
        try:
            Producer.poll.__get__(client._producer)(_POLL_S)
        finally:
            self._is_serving = False
            self._serve(client)


class TracedAIOProducer(TracedClose):
    """See docs/confluent-aio.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: AIOProducerState

    async def produce(self, topic: Any, value: Any = None, key: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``produce`` of the client: same arguments, same errors, a future of the Message."""
        state = self._mqtrace
        client = self if state.raw is None else state.raw
        operation = state.operation
        span: Any = state.start(topic, value, FutureSend)
        message: dict[str, Any] = {"value": value, "key": key}
        if kwargs:
            message.update((name, kwargs[name]) for name in _KEYWORDS if name in kwargs)
        if span is not None and operation.tracer.propagator.fields and _can_send_singly(client, topic, message):
            future = state.produce(client, span, topic, message)
            if type(span) is FutureSend:
                state.pending.hold(span)
                end_with(future, span, state.pending)
            state.produced += 1
            if state.produced % client._batch_size == 0:  # the client would send a batch here, and yield to the loop
                await client.poll(0)
            return future
        call = super().produce(topic, value, key, *args, **kwargs)
        return await (until_done(call, span, state.pending) if type(span) is FutureSend else call)


#: Keywords of ``produce`` that the client does not ignore.
_KEYWORDS: Final = ("partition", "timestamp", "headers")


def _can_send_singly(client: Any, topic: Any, message: dict[str, Any]) -> bool:
    """Whether a message may be sent singly: one that a batch would refuse goes into the batch."""
    if client._is_closed or type(topic) is not str or not topic or "headers" in message or "timestamp" in message:
        return False
    return message.get("partition", -1) is not None and batches.can_send_singly(Producer, [message])
