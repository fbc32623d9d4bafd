"""A channel, traced or not, and what an application does with it."""

from __future__ import annotations

from typing import Any, Final

import pika  # type: ignore[import-untyped]  # pika ships no types

import mqtrace

__all__ = ["BODY", "properties", "publish", "traced"]

BODY: Final = b"x" * 100


def traced(variant: str, channel: Any) -> Any:
    """The channel as the variant has it."""
    if variant == "bare":
        return channel
    if variant == "opentelemetry":
        from opentelemetry.instrumentation.pika import PikaInstrumentor

        PikaInstrumentor().instrument_channel(channel)
        return channel
    return mqtrace.wrap(channel)


def properties(context: str) -> pika.BasicProperties:
    """Those of a message that comes in."""
    return pika.BasicProperties(headers={"traceparent": context})


def publish(channel: Any, exchange: str, many: int) -> None:
    """Publish messages that the application gives no properties."""
    call = channel.basic_publish
    for _ in range(many):
        call(exchange, "orders", BODY)
