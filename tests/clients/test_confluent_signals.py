"""A signal whose handler raises within a call of a producer: every message that was sent has its report."""

from __future__ import annotations

import ctypes
import functools
import itertools
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer, SerializingProducer

import mqtrace
from mqtrace.testing import Spans


class Stop(Exception):
    """What the handler of the signal raises."""


@pytest.fixture
def interrupting() -> Iterator[str]:
    """The name of a header: the signal is raised by the C code that reads it, once for each ``"late"`` that is made.

    Python's handler runs right after the client's call has returned.
    """

    def stop(*_: Any) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    send_signal = getattr(ctypes.PyDLL(None), "raise")
    steps = map({0: "late"}.__getitem__, map(send_signal, itertools.repeat(int(signal.SIGUSR1))))

    class Key(str):
        __slots__ = ()
        __str__ = staticmethod(functools.partial(next, steps))  # no frame of Python's

    yield Key("late")
    signal.signal(signal.SIGUSR1, before)


class Own(Producer):
    """Has a ``produce`` of its own."""

    def produce(self, topic: str, value: Any = None, headers: Any = None, on_delivery: Any = None) -> None:  # type: ignore[override]
        super().produce(topic, value, headers=headers, on_delivery=on_delivery)


@pytest.mark.parametrize("kind", [Producer, SerializingProducer, Own])
@pytest.mark.parametrize("form", ["class", "object"])
def test_every_message_that_was_sent_has_its_report(
    cluster: str, spans: Spans, interrupting: str, kind: Any, form: str
) -> None:
    configuration = {"bootstrap.servers": cluster, "log_level": 0}
    producer = mqtrace.wrap(kind)(configuration) if form == "class" else mqtrace.wrap(kind(configuration))
    reports: list[Any] = []
    raised = 0
    context = ("traceparent", b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01")
    for _ in range(10):
        try:
            producer.produce(
                f"topic-{time.time_ns()}",
                value=b"x",
                headers=[context, (interrupting, b"v")],
                on_delivery=lambda error, message: reports.append(error),
            )
        except Stop:
            raised += 1
    producer.flush(10)
    assert raised == 10
    assert reports == [None] * 10
    assert len(spans) == 10


def test_a_report_that_a_signal_interrupts_reaches_the_user(cluster: str, spans: Spans) -> None:
    class Interrupting:
        """A message at which the handler of a signal raises."""

        def partition(self) -> int:
            raise Stop

    producer = mqtrace.wrap(Producer)({"bootstrap.servers": cluster, "log_level": 0})
    reports: list[Any] = []
    producer.produce("interrupted", b"x", on_delivery=lambda error, message: reports.append(message))
    (span,) = producer._mqtrace.pending.spans  # type: ignore[attr-defined]  # ours
    message = Interrupting()
    with pytest.raises(Stop):
        span(None, message)
    assert reports == [message]
    producer.flush(10)
    assert len(reports) == 1
