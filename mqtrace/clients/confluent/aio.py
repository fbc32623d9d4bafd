"""confluent_kafka.aio: AIOProducer and AIOConsumer, as objects and as classes.

The client's ``produce`` gathers messages for a batch call, which takes no headers. So a message that has a context goes
out by itself, through the Producer within the client and past that one's own tracing; what carries none, and what a
batch would refuse, goes as it goes without us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import aio as library
from confluent_kafka.aio import AIOConsumer, AIOProducer
from confluent_kafka.cimpl import Producer

from mqtrace.clients.awaiting import AsyncSends, Closed
from mqtrace.clients.kafka_clients import wrap_one_of
from mqtrace.clients.options import expect
from mqtrace.clients.proxy import is_traced
from mqtrace.core import ForkSafeLock
from mqtrace.messaging import Endpoint, kafka
from mqtrace.messaging.futures import FutureSpan, end_with, until_done
from mqtrace.tracer import SpanTracer

from . import batches
from .aio_consumer import Reads, TracedAIOConsumer, endpoint_of
from .reports import Inbox, Report

__all__ = ["wrap"]

#: What an instance does not show and `wrap` may be told.
_OPTIONS: Final = ("client_id", "group_id", "bootstrap_servers")
#: Classes whose objects a coroutine makes, past the constructor. Not every version has them.
_AWAITED: Final = tuple(
    getattr(library, name)
    for name in ("AsyncSerializingProducer", "AsyncDeserializingConsumer")
    if hasattr(library, name)
)
#: Seconds that one turn waits for reports, in a thread of the client's executor.
_TURN_S: Final = 0.05


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    if isinstance(client, type):
        if issubclass(client, _AWAITED):
            return None
    elif isinstance(client, AIOProducer) and type(client).produce is not AIOProducer.produce:
        return None
    if issubclass(client if isinstance(client, type) else type(client), (AIOProducer, AIOConsumer)):
        expect(options, _OPTIONS, f"for confluent_kafka.aio write {list(_OPTIONS)}")
    clients = (
        (AIOProducer, TracedAIOProducer, partial(Sends, tracer, options)),
        (AIOConsumer, TracedAIOConsumer, partial(Reads, tracer, options)),
    )
    return wrap_one_of(clients, client, shared=tracer is None and not options)


# ---------------------------------------------------------------------- sending


class Sending(FutureSpan):
    """The span of a message."""

    __slots__ = ()

    def place(self, report: Any) -> tuple[int, int]:
        """Of the Message of the delivery report."""
        return report.partition(), report.offset()


class Sends(AsyncSends):
    """What is ours of a traced producer."""

    __slots__ = ("_inbox", "_lock", "_serving", "produced")

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any]) -> None:
        super().__init__(tracer, options)
        self._lock = ForkSafeLock()
        self._serving = False
        self.produced = 0
        self._inbox: Inbox | None = None

    def endpoint_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Endpoint:
        """See docs/confluent-aio.md."""
        return endpoint_of(args, kwargs, self.options)

    def opened(self, client: Any) -> None:
        """Have the Producer within step aside, where ``mqtrace run`` has put a traced one into the client."""
        if is_traced(type(client._producer)):
            client._producer._mqtrace.aside = True

    def produce(self, client: Any, span: Any, topic: str, message: Mapping[str, Any]) -> asyncio.Future[Any]:
        """Send a message by itself. Its future is what a batch would make of it, errors included."""
        loop, inbox = asyncio.get_running_loop(), self._inbox
        if inbox is None or inbox.loop is not loop:
            inbox = self._inbox = Inbox(loop)
        report = Report(inbox)
        headers = kafka.with_context_in_list(self.operation, span, None)
        call = batches.plain_produce(client._producer)
        try:
            error = batches.produce(call, topic, message, message.get("partition", -1), report, headers)
        except Exception as raised:  # noqa: BLE001  # of a batch: it fails the futures
            error = raised  # type: ignore[assignment]  # either
        if error is not None:
            inbox.owed.discard(report)
            report.complete(error, None)
        else:
            self._serve(client)
        return report.future

    def _serve(self, client: Any) -> None:
        """Have the client's executor serve reports as long as any is owed: nobody else may."""
        if self._serving:  # and its turn looks once more, after that
            return
        with self._lock.lock:
            if self._serving or self._inbox is None or not self._inbox.owed or client._is_closed:
                return
            self._serving = True  # before: a turn may be over before whoever submits it goes on
            try:
                client.executor.submit(self._turn, client)
            except RuntimeError:  # it is shut down
                self._serving = False

    def _turn(self, client: Any) -> None:
        try:
            Producer.poll.__get__(client._producer)(_TURN_S)
        finally:
            self._serving = False
            self._serve(client)


class TracedAIOProducer(Closed):
    """See docs/confluent-aio.md. Made by :func:`mqtrace.wrap`."""

    __slots__ = ()
    _mqtrace: Sends

    async def produce(self, topic: Any, value: Any = None, key: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``produce`` of the client: same arguments, same errors, a future of the Message."""
        sends = self._mqtrace
        client = self if sends.raw is None else sends.raw
        operation = sends.operation
        span: Any = sends.begin(topic, value, Sending)
        message: dict[str, Any] = {"value": value, "key": key}
        if kwargs:
            message.update((name, kwargs[name]) for name in _TAKEN if name in kwargs)
        if span is not None and operation.tracer.propagator.fields and _may_part(client, topic, message):
            future = sends.produce(client, span, topic, message)
            if type(span) is Sending:
                sends.pending.hold(span)
                end_with(future, span, sends.pending)
            sends.produced += 1
            if sends.produced % client._batch_size == 0:  # here a batch would be sent, and the loop have its turn
                await client.poll(0)
            return future
        call = super().produce(topic, value, key, *args, **kwargs)
        return await (until_done(call, span, sends.pending) if type(span) is Sending else call)


#: Keywords of ``produce`` that the client does not ignore.
_TAKEN: Final = ("partition", "timestamp", "headers")


def _may_part(client: Any, topic: Any, message: dict[str, Any]) -> bool:
    """Whether a message may go out by itself: what a batch would refuse is left to it."""
    if client._is_closed or type(topic) is not str or not topic or "headers" in message or "timestamp" in message:
        return False
    return message.get("partition", -1) is not None and batches.can_part(Producer, [message])
