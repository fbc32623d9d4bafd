"""What the bridge adds: the same calls of mqtrace, joined with OpenTelemetry and not, in turn within one process.

``inside``: within a span of OpenTelemetry's that is current all the while, as around a consumer's loop. The handler
asks OpenTelemetry nothing. CPU is that of the calling thread, us a message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import confluent_kafka
from opentelemetry.sdk.trace import TracerProvider

import mqtrace
from bench.alternate import Slice, alternate
from bench.kafka.client import PAYLOAD, configuration, fill, ignore
from mqtrace.otel import bridge

__all__ = ["figures"]

_SLICE: Final = 500


def figures(variant: str, bootstrap: str, count: int) -> dict[str, float]:
    """What is added to a produce with its report, and to a poll with its handler. ``count``: of messages, twice."""
    if variant != "mqtrace":
        return {}
    os.environ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "512"  # so that the worker wakes seldom within a slice
    mqtrace.configure("bench", sampler=1.0, exporter="none:", opentelemetry=False)
    pairs = max(4, count // _SLICE)
    theirs = TracerProvider().get_tracer("bench")
    found: dict[str, float] = {}
    for name, around in (("", nullcontext), (" inside", lambda: theirs.start_as_current_span("loop"))):
        client = configuration(bootstrap)
        producer = mqtrace.wrap(confluent_kafka.Producer)(client)
        topic = f"bridge{name.strip()}-{os.getpid()}"
        fill(client, topic, 2 * (pairs + 2) * _SLICE, unsampled=False)
        own = {**client, "group.id": topic, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
        consumer = mqtrace.wrap(confluent_kafka.Consumer)(own)
        consumer.subscribe([topic])
        for figure, work in (("produce", _produce(producer)), ("poll", _poll(consumer))):
            measure = _slice(f"bridge {figure}{name}", work, around)
            found |= alternate(_joined(measure, False), _joined(measure, True), lambda: mqtrace.flush(30), pairs)
        consumer.close()
    return found


def _joined(measure: Slice, joined: bool) -> Slice:
    def switched() -> dict[str, float]:
        (bridge.join if joined else bridge.leave)()
        try:
            return measure()
        finally:
            bridge.leave()

    return switched


def _slice(figure: str, work: Callable[[], float], around: Callable[[], AbstractContextManager[Any]]) -> Slice:
    def measure() -> dict[str, float]:
        with around():
            return {figure: work() / _SLICE * 1e6}

    return measure


def _produce(producer: Any) -> Callable[[], float]:
    def work() -> float:
        began = time.thread_time()
        for _ in range(_SLICE):
            producer.produce("bridge-sent", PAYLOAD)
        producer.poll(0)
        took = time.thread_time() - began
        producer.flush(60)
        return took

    return work


def _poll(consumer: Any) -> Callable[[], float]:
    handle = mqtrace.consumer(ignore)

    def work() -> float:
        took, seen = 0.0, 0
        while seen < _SLICE:
            began = time.thread_time()
            message = consumer.poll(1.0)
            if message is not None:
                handle(message)
                took += time.thread_time() - began
                seen += 1
        return took

    return work
