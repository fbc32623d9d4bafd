"""What a message costs the thread of an event loop, without the socket.

The connection, its channels, exchanges and queues are real ones. Then what waits for the broker in the aiormq channel
is exchanged for what encodes a message and returns at once, and deliveries are handed to the consumer as aiormq does it
once it has read them. So all of aio-pika runs, its task for each callback too. All variants alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aio_pika
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader

import mqtrace
from bench.alternate import alternate
from bench.tracing import configure, traceparent

__all__ = ["figures"]

_SLICE: Final = 200
_BODY: Final = b"x" * 100


def figures(variant: str, url: str, count: int) -> dict[str, float]:
    """CPU of a publish, and of a callback with its acknowledgement. ``count``: messages, bare and as many traced."""
    flush = configure(variant)
    loop = asyncio.new_event_loop()
    connection: Any = loop.run_until_complete(aio_pika.connect(url))
    bare = loop.run_until_complete(_slice("bare", connection))
    ours = loop.run_until_complete(_slice(variant, connection))
    pairs = max(2, count // _SLICE)
    found = alternate(lambda: loop.run_until_complete(bare()), lambda: loop.run_until_complete(ours()), flush, pairs)
    loop.run_until_complete(connection.close())
    loop.close()
    return found | {"aio-pika spans": flush() / (pairs + 1) / _SLICE}


async def _slice(variant: str, connection: Any) -> Callable[[], Coroutine[Any, Any, dict[str, float]]]:
    raw = await connection.channel()
    channel = raw if variant in ("bare", "opentelemetry") else mqtrace.wrap(raw)
    queue = await channel.declare_queue("", exclusive=True)
    exchange = channel.default_exchange
    underlay = await raw.get_underlay_channel()
    consumers: list[Any] = []

    async def basic_publish(*, body: bytes, properties: Any, **options: Any) -> Any:
        ContentHeader(properties=properties, body_size=len(body)).marshal()
        return spec.Basic.Ack(1)

    async def basic_consume(*, consumer_callback: Any, **options: Any) -> Any:
        consumers.append(consumer_callback)
        return spec.Basic.ConsumeOk("tag")

    async def basic_ack(*args: Any, **options: Any) -> None:
        """Take it."""

    underlay.basic_publish, underlay.basic_consume, underlay.basic_ack = basic_publish, basic_consume, basic_ack

    async def handle(message: Any) -> None:
        await message.ack()

    publish = exchange.publish
    if variant == "opentelemetry":
        from opentelemetry import trace
        from opentelemetry.instrumentation.aio_pika.callback_decorator import CallbackDecorator
        from opentelemetry.instrumentation.aio_pika.publish_decorator import PublishDecorator

        # what its instrumentor puts in place, without wrapt's call around it
        publish = PublishDecorator(trace.get_tracer("bench"), exchange).decorate(publish)
        await queue.consume(CallbackDecorator(trace.get_tracer("bench"), queue).decorate(handle))
    else:
        await queue.consume(handle)
    (deliver,) = consumers

    def delivery(number: int) -> DeliveredMessage:
        headers: Any = {"traceparent": traceparent(number, variant)}
        return DeliveredMessage(
            delivery=spec.Basic.Deliver("tag", number + 1, False, "shop", "orders"),
            header=ContentHeader(
                properties=spec.Basic.Properties(headers=headers, message_id="m"), body_size=len(_BODY)
            ),
            body=_BODY,
            channel=underlay,
        )

    async def measure() -> dict[str, float]:
        messages = [aio_pika.Message(_BODY) for _ in range(_SLICE)]
        began = time.thread_time()
        for message in messages:
            await publish(message, "orders")
        published = time.thread_time() - began
        deliveries = [delivery(number) for number in range(_SLICE)]
        began = time.thread_time()
        for one in deliveries:
            await deliver(one)
        consumed = time.thread_time() - began
        return {"aio-pika publish": published / _SLICE * 1e6, "aio-pika consume": consumed / _SLICE * 1e6}

    return measure
