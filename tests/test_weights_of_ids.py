"""Ids and names that a client gives: weighed with their span, and no longer than the value length limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import aio_pika
import aiormq.abc
import kombu.message
import pamqp.commands
import pamqp.header
import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest
from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types
from pika.spec import Basic  # type: ignore[import-untyped]  # as above

import mqtrace
from mqtrace.clients.celery.attempt_start import begin_attempt
from mqtrace.clients.celery.spans import AttemptSpan
from mqtrace.clients.celery.templates import Tasks
from tests.stuck_exporter import BOUND, StuckExporter, check_bound

LONG = 100_000
APP = Celery("shop", broker="memory://", set_as_current=False)
APP.conf.task_default_queue = "weights"  # what memory:// keeps is the process's: workers of other tests would take it
NOWHERE = Celery("shop", broker="nonesuch://", set_as_current=False)


@pytest.fixture
def exporter() -> StuckExporter:
    return StuckExporter()


@pytest.fixture
def tracer(exporter: StuckExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[mqtrace.Tracer]:
    monkeypatch.setenv("MQTRACE_MAX_QUEUE_BYTES", str(BOUND))
    made = mqtrace.Tracer("shop", exporter=exporter)
    yield made
    exporter.released.set()
    made.shutdown(5)


def remote(number: int) -> dict[str, Any]:
    return {"traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01"}


def ids(number: int) -> dict[str, Any]:
    return {"message_id": str(number) + "x" * LONG, "correlation_id": str(number) + "y" * LONG}


def of_pika(number: int, **named: Any) -> Any:
    method = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="", routing_key="orders")
    return method, pika.BasicProperties(headers=remote(number), **(named or ids(number))), b""


def of_aio_pika(number: int, **named: Any) -> Any:
    properties = pamqp.commands.Basic.Properties(headers=remote(number), **(named or ids(number)))
    method = pamqp.commands.Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="", routing_key="orders")
    delivered: Any = aiormq.abc.DeliveredMessage
    header = pamqp.header.ContentHeader(properties=properties)
    return aio_pika.IncomingMessage(delivered(delivery=method, header=header, body=b"", channel=None))


def of_kombu(number: int, **named: Any) -> Any:
    made: Any = kombu.message.Message
    return made(body=b"", delivery_tag=1, properties=named or ids(number), headers=remote(number))


MESSAGES = {"pika": of_pika, "aio-pika": of_aio_pika, "kombu": of_kombu}


def handled(make: Callable[[int], Any]) -> Callable[[mqtrace.Tracer, int], None]:
    def run(tracer: mqtrace.Tracer, number: int) -> None:
        with tracer.process(make(number)):
            pass

    return run


def batch_of_two(tracer: mqtrace.Tracer, number: int) -> None:
    with tracer.batch([of_pika(number * 2), of_pika(number * 2 + 1)]):
        pass


def task_sent(tracer: mqtrace.Tracer, number: int) -> None:
    tracer.instrument_celery(APP)
    try:
        APP.send_task("shop.add", task_id=str(number) + "x" * LONG, root_id=str(number) + "y" * LONG)
    finally:
        tracer.uninstrument_celery()


def task_not_sent(tracer: mqtrace.Tracer, number: int) -> None:
    tracer.instrument_celery(NOWHERE)
    try:
        with pytest.raises(KeyError):
            NOWHERE.send_task("shop.add", task_id=str(number) + "x" * LONG)
    finally:
        tracer.uninstrument_celery()


def task_named(tracer: mqtrace.Tracer, number: int) -> None:
    tracer.instrument_celery(APP)
    try:
        APP.send_task(str(number) + "x" * LONG)
    finally:
        tracer.uninstrument_celery()


def attempt(tracer: mqtrace.Tracer, **said: Any) -> Any:
    tasks = Tasks(tracer, flush_timeout=1.0)
    request = {"retries": 0, **remote(0), **said}
    template = tasks.attempt_template(APP, "shop.add", "", "celery")
    return begin_attempt(tasks.process, template, request, request, APP)


def task_run(tracer: mqtrace.Tracer, number: int) -> None:
    attempt(tracer, id=str(number) + "x" * LONG, root_id=str(number) + "y" * LONG).end()


KINDS: dict[str, tuple[Callable[[mqtrace.Tracer, int], None], int]] = {
    **{f"a message of {name}": (handled(make), 2 * LONG) for name, make in MESSAGES.items()},
    "a batch of two": (batch_of_two, 4 * LONG),
    "a task that is sent": (task_sent, 2 * LONG),
    "a task that cannot be sent": (task_not_sent, LONG),
    "a task that is run": (task_run, 2 * LONG),
    "a task's name": (task_named, 2 * LONG),
}


@pytest.mark.parametrize("kind", KINDS)
def test_long_ids_and_names_count_to_the_bound(kind: str, tracer: mqtrace.Tracer) -> None:
    act, weight = KINDS[kind]
    check_bound(tracer, act, weight)


def test_ids_as_everybody_has_them_are_not_weighed(tracer: mqtrace.Tracer) -> None:
    usual = "0d5c9ae2-7d5f-4b8e-9d44-6b1d0f7c2a11"
    for make in MESSAGES.values():
        with tracer.process(make(0, message_id=usual, correlation_id=usual)) as opened:
            pass
        span: Any = opened
        assert span.details is None
        assert span.attributes["messaging.message.id"] == usual
    assert attempt(tracer, id=usual, root_id=usual).details is None


def test_names_of_tasks_that_are_made_up_are_not_kept(tracer: mqtrace.Tracer) -> None:
    tasks = Tasks(tracer, flush_timeout=1.0)
    for number in range(20):
        tasks.attempt_template(APP, str(number) + "x" * LONG, "", "celery")
    tasks.attempt_template(APP, "shop.add", "", "celery")
    kept: Any = tasks.process.templates
    assert [name for _, name, *_ in kept] == ["shop.add"]


@pytest.mark.parametrize("wrong", [["x" * LONG], {"x": "y" * LONG}, [["x"]] * 300])
def test_an_id_that_is_no_text_is_let_go(wrong: object, tracer: mqtrace.Tracer) -> None:
    with tracer.process(of_kombu(0, message_id=wrong, correlation_id=wrong)) as opened:
        pass
    span: Any = opened
    assert (span.message_id, span.conversation) == (None, None)
    run = attempt(tracer, id="7", root_id=wrong, retries=wrong)
    assert (run.task_id, run.root_id, run.retries) == ("7", None, None)
    assert type(run) is AttemptSpan


def test_the_length_limit_holds_for_ids_and_for_links(exporter: StuckExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100")
    exporter.released.set()
    tracer = mqtrace.Tracer("shop", exporter=exporter)
    given = [make(0, message_id="x" * 200, correlation_id="y" * 200) for make in MESSAGES.values()]
    for message in given:
        with tracer.process(message):
            pass
        with tracer.batch([message]):
            pass
    attempt(tracer, id="x" * 200, root_id="y" * 200).end()
    for number in range(2):
        task_sent(tracer, number)
    tracer.shutdown(5)
    found = [
        (key, value)
        for span in exporter.spans
        for attributes in (span.attributes, *(link.attributes for link in span.links))
        for key, value in attributes.items()
        if key in ("messaging.message.id", "messaging.message.conversation_id")
    ]
    assert len(found) == 2 * (2 * len(MESSAGES) + 1 + 2)
    assert {len(str(value)) for _, value in found} == {100}
