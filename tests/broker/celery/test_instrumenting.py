"""``instrument_celery`` wherever a project may call it: before the app exists, after, in its configuration; client,
worker and beat, each a process of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

_BEFORE = """
import os
import mqtrace
from celery import Celery

mqtrace.instrument_celery()
mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
app = Celery("shop", broker=os.environ["BROKER"])
"""

_AFTER = """
import os
import mqtrace
from celery import Celery

app = Celery("shop", broker=os.environ["BROKER"])
"""

_AFTER_END = """
mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
mqtrace.instrument_celery(app)
"""

_CONFIGURED = """
from celery import Celery

app = Celery("shop")
app.config_from_object("shopconfig")
"""

_CONFIG = """
import os
import mqtrace

mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
mqtrace.instrument_celery()
broker_url = os.environ["BROKER"]
task_default_queue = os.environ["QUEUE"]
task_ignore_result = True
beat_schedule = {"tick": {"task": "shop.add", "schedule": 0.1, "args": (1, 2)}}
beat_schedule_filename = os.path.join(os.environ["PLACE"], "schedule")
"""

_REST = """
@app.task(name="shop.add")
def add(*numbers):
    return sum(numbers)
"""

_SETTINGS = """
import os
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    task_ignore_result=True,
    beat_schedule={"tick": {"task": "shop.add", "schedule": 0.1, "args": (1, 2)}},
    beat_schedule_filename=os.path.join(os.environ["PLACE"], "schedule"),
)
"""

_APPS = {
    "before the app": _BEFORE + _SETTINGS + _REST,
    "after the app": _AFTER + _SETTINGS + _REST + _AFTER_END,
    "in the configuration": _CONFIGURED + _REST,
}


@pytest.fixture(params=list(_APPS))
def shop(make_shop: Callable[..., Any], redis_url: str, request: pytest.FixtureRequest) -> Any:
    made = make_shop(redis_url, app=_APPS[request.param])
    (made.place / "shopconfig.py").write_text(_CONFIG, encoding="utf-8")
    return made


def _services(shop: Any) -> dict[str, set[str]]:
    """Which service made which spans."""
    found: dict[str, set[str]] = {}
    for span in shop.spans():
        found.setdefault(span["name"], set()).add(span["service"])
    return found


@pytest.mark.parametrize("send", ["shop.add.delay(1, 2)", "shop.app.send_task('shop.add', (1, 2))"])
def test_a_client_and_a_worker_are_traced(shop: Any, send: str) -> None:
    worker = shop.worker("-c", "1")
    shop.publish(f"{send}\n{send}")
    shop.until(lambda: shop.succeeded() == 2, "the tasks ran")
    assert shop.stop(worker) == 0
    sends, runs = shop.named("send shop.add"), shop.named("process shop.add")
    assert [run["parentSpanId"] for run in runs] == [send["spanId"] for send in sends]
    assert _services(shop) == {"send shop.add": {"client"}, "process shop.add": {"worker"}}
    assert {span["attributes"]["messaging.system"] for span in sends + runs} == {"redis"}
    assert {span["attributes"]["messaging.destination.name"] for span in sends + runs} == {shop.environment["QUEUE"]}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_beat_of_its_own_ends_cleanly_and_loses_no_span(shop: Any, how: int) -> None:
    beat = shop.celery("beat")
    shop.until(lambda: shop.log().count("Sending due task") >= 10, "beat has ticked")
    # The signal may have come between the log's line and the message, and Celery closes its schedule while it ticks:
    # one beat in twenty ends with an error of its own then, untraced ones too. Its traceback is the tick's, so the
    # frame of our hook is in it.
    code, log = shop.stop(beat, how), shop.log()
    if "invalid operation on closed shelf" not in log:
        assert code == 0, log
        assert "mqtrace/clients" not in log, log
    worker = shop.worker("-c", "1")
    ticks = shop.log().count("Sending due task")
    shop.until(lambda: shop.succeeded(1) >= ticks - 1, "the worker has run every tick")
    time.sleep(0.5)
    assert shop.stop(worker) == 0
    sends, runs = shop.named("send shop.add"), shop.named("process shop.add")
    assert _services(shop) == {"send shop.add": {"beat"}, "process shop.add": {"worker"}}
    assert len(sends) in (ticks - 1, ticks)
    assert len(runs) == shop.succeeded(1)
    assert {run["parentSpanId"] for run in runs} <= {send["spanId"] for send in sends}
    assert len({send["traceId"] for send in sends}) == len(sends), "each tick is a trace of its own"


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_the_beat_of_a_worker_loses_no_span(shop: Any, pool: str) -> None:
    worker = shop.worker("-B", "-P", pool, "-c", "2")
    shop.until(lambda: shop.succeeded() >= 10, "beat has ticked")
    assert shop.stop(worker) == 0
    time.sleep(0.5)  # the beat's process is sent its SIGTERM last, and nobody waits for it
    sends, runs = shop.named("send shop.add"), shop.named("process shop.add")
    assert len(runs) == shop.succeeded()
    assert len(sends) == shop.log().count("Sending due task")
    assert {run["parentSpanId"] for run in runs} <= {send["spanId"] for send in sends}


def test_it_may_be_called_in_each_child_of_a_pool(make_shop: Callable[..., Any], redis_url: str) -> None:
    """As with tracers whose threads do not survive a fork; a child that is recycled loses no span."""
    begin = """
from celery.signals import worker_process_init

@worker_process_init.connect
def begin(**_):
    mqtrace.configure("child", exporter="file://" + os.environ["SPANS"])
    mqtrace.instrument_celery(flush_timeout=5.0)
"""
    shop = make_shop(redis_url, app=_AFTER + begin + _SETTINGS + _REST)
    worker = shop.worker("-c", "2", "--max-tasks-per-child=3")
    shop.publish("[shop.add.delay(number) for number in range(20)]")
    shop.until(lambda: shop.succeeded() == 20, "the tasks ran")
    assert shop.stop(worker) == 0
    runs = shop.named("process shop.add")
    assert len({run["attributes"]["messaging.message.id"] for run in runs}) == len(runs) == 20
    assert _services(shop) == {"process shop.add": {"child"}}
