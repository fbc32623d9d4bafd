"""How attempts at a task begin and end on a real worker: retries, limits, revocations, what is no task, bad headers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import celery  # type: ignore[import-untyped]  # Celery ships no types
import pytest

FOREIGN = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"

_APP = """
import os, time
import mqtrace
from celery import Celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

tracer = mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
mqtrace.instrument_celery(flush_timeout=5.0)
app = Celery("shop", broker=os.environ["BROKER"])
app.conf.update(task_default_queue=os.environ["QUEUE"], task_ignore_result=True)

@app.task(name="shop.add")
def add(*numbers):
    span = mqtrace.current_span()
    for key, value in (span.baggage or {}).items():
        span.set_attribute("baggage." + key, value)
    span.set_attribute("malformed", mqtrace.stats()["contexts_malformed"])
    return sum(numbers)

@app.task(name="shop.fail")
def fail():
    raise ValueError("no stock")

@app.task(name="shop.flaky", autoretry_for=(ConnectionError,), max_retries=2, default_retry_delay=0)
def flaky():
    raise ConnectionError("down")

@app.task(name="shop.later", bind=True)
def later(self):
    if self.request.retries < 2:
        raise self.retry(countdown=1)

@app.task(name="shop.soft", soft_time_limit=1)
def soft():
    time.sleep(30)

@app.task(name="shop.cleans_up", soft_time_limit=1)
def cleans_up():
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        mqtrace.current_span().set_attribute("cleaned", True)

@app.task(name="shop.end", acks_late=True)
def end(how):
    raise {"ignore": Ignore(), "reject": Reject("no", requeue=False), "key": KeyError("sku")}[how]

@app.task(name="shop.publish_and_fail")
def publish_and_fail():
    add.delay(1)
    elsewhere = Celery("elsewhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    elsewhere.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    elsewhere.send_task("shop.never", retry=False)

@app.task(name="shop.forward", bind=True)
def forward(self):
    headers = {"tenant": "acme"}
    add.apply_async((1,), headers=headers)
    add.apply_async((2,), headers=headers)
    assert headers == {"tenant": "acme"}, headers
"""


@pytest.fixture
def shop(make_shop: Callable[..., Any], redis_url: str) -> Any:
    return make_shop(redis_url, app=_APP)


def _length(span: Any) -> float:
    """Seconds."""
    return (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9


def _run(shop: Any, code: str, done: Callable[[], object], *arguments: str) -> None:
    """Send with this code, wait, stop the worker."""
    worker = shop.worker(*(arguments or ("-c", "2")))
    shop.publish(code)
    shop.until(done, "the tasks ran")
    time.sleep(0.5)
    assert shop.stop(worker) == 0


def test_automatic_retries_are_siblings_and_the_last_one_failed(shop: Any) -> None:
    """FAULTS 13."""
    _run(shop, "shop.flaky.delay()", lambda: "raised unexpected" in shop.log())
    runs = shop.named("process shop.flaky")
    first, *again = shop.named("send shop.flaky")
    assert [run["attributes"]["celery.state"] for run in runs] == ["RETRY", "RETRY", "FAILURE"]
    assert [run["parentSpanId"] for run in runs] == [first["spanId"]] * 3
    assert [[link["spanId"] for link in run["links"]] for run in runs] == [
        [first["spanId"]],
        [first["spanId"], runs[0]["spanId"]],
        [first["spanId"], runs[1]["spanId"]],
    ]
    assert [send["parentSpanId"] for send in again] == [run["spanId"] for run in runs[:2]]
    assert runs[2]["attributes"]["error.type"] == "ConnectionError"
    assert [run.get("status", {}).get("code", 0) for run in runs] == [0, 0, 2]


def test_a_retry_with_a_countdown_keeps_a_users_own_traceparent(shop: Any) -> None:
    _run(
        shop,
        f"shop.later.apply_async(headers={{'traceparent': {FOREIGN!r}}}); shop.later.delay()",
        lambda: shop.succeeded() == 2,
    )
    runs = shop.named("process shop.later")
    theirs = [run for run in runs if run["traceId"] == "ab" * 16]
    ours = [run for run in runs if run["traceId"] != "ab" * 16]
    assert {run["parentSpanId"] for run in theirs} == {"cd" * 8}
    assert len({run["parentSpanId"] for run in ours}) == 1
    for attempts in (theirs, ours):
        assert [run["attributes"]["celery.retries"] for run in attempts] == ["0", "1", "2"]
        assert [linked["links"][-1]["spanId"] for linked in attempts[1:]] == [run["spanId"] for run in attempts[:2]]
    assert [float(run["attributes"]["mqtrace.delay"]) for run in ours[1:]] == pytest.approx([1.0, 1.0], abs=0.05)
    assert all(run["attributes"]["messaging.message.receive.latency"] < 1000 for run in ours)


def test_soft_and_hard_limits_say_which(shop: Any) -> None:
    _run(
        shop,
        "shop.soft.delay(); shop.cleans_up.delay(); shop.add.delay(1)",
        lambda: shop.succeeded() == 2 and "raised unexpected" in shop.log(),
    )
    (soft,), (cleaned,) = shop.named("process shop.soft"), shop.named("process shop.cleans_up")
    assert soft["attributes"]["celery.state"] == "FAILURE"
    assert soft["attributes"]["error.type"] == "billiard.exceptions.SoftTimeLimitExceeded"
    assert soft["status"]["code"] == 2
    assert 0.9 < _length(soft) < 5
    assert cleaned["attributes"]["celery.state"] == "SUCCESS"
    assert cleaned["attributes"]["cleaned"] is True
    assert "status" not in cleaned or cleaned["status"].get("code", 0) == 0


def test_what_a_task_raises_for_celery_is_its_outcome(shop: Any) -> None:
    _run(
        shop,
        "[shop.end.delay(how) for how in ('ignore', 'reject', 'key')]; shop.add.delay(1)",
        lambda: shop.succeeded() == 1 and "raised unexpected" in shop.log(),
    )
    ends = [run["attributes"] for run in shop.named("process shop.end")]
    found = {end["celery.state"]: (end.get("mqtrace.outcome"), end.get("error.type")) for end in ends}
    assert found == {"IGNORED": (None, None), "REJECTED": ("reject", None), "FAILURE": (None, "KeyError")}


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads", "gevent", "eventlet"])
def test_tasks_that_do_not_run_say_why_in_any_pool(shop: Any, pool: str) -> None:
    worker = shop.worker("-c", "1", "-P", pool)
    shop.publish(
        "import time\n"
        "revoked = shop.add.apply_async((1,), countdown=2)\n"
        "shop.app.control.revoke(revoked.id)\n"
        "shop.add.apply_async((2,), expires=0.001)\n"
        "shop.app.send_task('shop.nowhere')\n"
        "with shop.app.connection_for_write() as connection, connection.Producer() as producer:\n"
        "    producer.publish({'hello': 'there'}, exchange='', routing_key=shop.app.conf.task_default_queue)\n"
        "shop.add.delay(3)"
    )
    shop.until(lambda: shop.succeeded() == 1 and shop.log().count("Discarding revoked task") == 2, "they were seen")
    time.sleep(0.5)
    # Celery 5.5 fails to say goodbye in eventlet's main loop, with tracing or without
    assert shop.stop(worker) == 0 or pool == "eventlet"
    runs = shop.named("process shop.add")
    sends = {send["spanId"] for send in shop.named("send shop.add")}
    assert sorted(run["attributes"].get("mqtrace.revoked", "") for run in runs) == ["", "expired", "revoked"]
    assert {run["parentSpanId"] for run in runs} == sends
    (nowhere,) = shop.named("process shop.nowhere")
    assert nowhere["attributes"]["error.type"] == "celery.exceptions.NotRegistered"
    assert nowhere["parentSpanId"] == shop.named("send shop.nowhere")[0]["spanId"]
    (rejected,) = shop.named("process unknown")
    assert rejected["attributes"]["celery.state"] == "REJECTED"
    assert rejected["status"]["code"] == 2


def test_a_publish_that_fails_in_a_task_leaves_nothing_current(shop: Any) -> None:
    """FAULTS 12, in one child that goes on."""
    _run(
        shop,
        "shop.publish_and_fail.delay(); shop.fail.delay(); shop.forward.delay()",
        lambda: shop.succeeded() == 4 and shop.log().count("raised unexpected") == 2,
        *("-c", "1"),
    )
    (failed,) = shop.named("process shop.publish_and_fail")
    (never,) = shop.named("send shop.never")
    assert never["parentSpanId"] == failed["spanId"]
    assert (
        never["attributes"]["error.type"] == failed["attributes"]["error.type"] == "kombu.exceptions.OperationalError"
    )
    spans = {span["spanId"]: span for span in shop.spans()}
    callers = sorted(spans[send["parentSpanId"]]["name"] for send in shop.named("send shop.add"))
    assert callers == ["process shop.forward"] * 2 + ["process shop.publish_and_fail"]
    roots = sorted(span["name"] for span in spans.values() if not span.get("parentSpanId"))
    assert roots == ["send shop.fail", "send shop.forward", "send shop.publish_and_fail"]
    assert {span["links"][0]["spanId"] == span["parentSpanId"] for span in shop.named("process shop.add")} == {True}


def test_baggage_reaches_the_task_and_what_it_calls(shop: Any) -> None:
    _run(
        shop,
        "import mqtrace\n"
        "with mqtrace.use(mqtrace.Context().with_baggage(user='ü 1')):\n    shop.forward.delay()\n    shop.add.delay()",
        lambda: shop.succeeded() == 4,
    )
    assert [span["attributes"]["baggage.user"] for span in shop.named("process shop.add")] == ["ü 1"] * 3


_BAD = """
import mqtrace, sys
mqtrace.uninstrument_celery()
values = [7, ["x"], {"deep": [{"er": None}]}, True, 1.5, "nonsense", "00-" + "\u00e9" * 52]
if shop.app.conf.broker_url.startswith("amqp"):
    values.append(bytes([255, 254]))
for value in values:
    for name in ("traceparent", "tracestate", "baggage", "mqtrace-previous", "mqtrace-attempt"):
        shop.add.apply_async((1,), headers={name: value, "other": value})
    theirs = {"traceparent": FOREIGN, "mqtrace-previous": value, "mqtrace-attempt": value}
    shop.add.apply_async((1,), headers=theirs)
    shop.app.send_task("shop.nowhere", headers=theirs)
print(len(values))
"""


@pytest.mark.parametrize("pool", ["prefork", "solo"])
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_bad_headers_do_not_keep_a_task_from_running(
    make_shop: Callable[..., Any], request: pytest.FixtureRequest, broker: str, pool: str
) -> None:
    """FAULTS 2."""
    shop = make_shop(request.getfixturevalue(f"{broker}_url"), app=_APP)
    worker = shop.worker("-c", "1", "-P", pool)
    values = int(shop.publish(_BAD.replace("FOREIGN", repr(FOREIGN))))
    shop.until(lambda: shop.succeeded() == 6 * values, "every task ran")
    time.sleep(0.5)
    assert shop.stop(worker) == 0
    runs, unknown = shop.named("process shop.add"), shop.named("process shop.nowhere")
    assert (len(runs), len(unknown)) == (6 * values, values)
    theirs = [run for run in runs if run["traceId"] == "ab" * 16]
    assert len(theirs) == values
    assert {run["parentSpanId"] for run in theirs + unknown} == {"cd" * 8}
    assert not any(run.get("parentSpanId") for run in runs if run not in theirs)
    assert {len(bytes.fromhex(run["spanId"])) for run in runs + unknown} == {8}
    # of five headers in turn, the traceparent and the baggage
    assert max(int(run["attributes"]["malformed"]) for run in runs) == 2 * values
    assert "could not be" not in shop.log()


@pytest.mark.parametrize(
    "sort",
    [
        "classic",
        pytest.param(
            "quorum",
            marks=pytest.mark.skipif(celery.VERSION < (5, 5), reason="Celery reads quorum queues from 5.5 on"),
        ),
    ],
)
def test_a_dead_letter_of_a_task_keeps_its_trace(make_shop: Callable[..., Any], rabbitmq_url: str, sort: str) -> None:
    app = (
        _APP
        + f"""
from kombu import Exchange, Queue
queue, sort = os.environ["QUEUE"], {sort!r}
dead = {{"x-queue-type": sort, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue + "-dead"}}
app.conf.task_queues = [
    Queue(queue, Exchange(queue), routing_key=queue, queue_arguments=dead),
    Queue(queue + "-dead", Exchange(""), routing_key=queue + "-dead", queue_arguments={{"x-queue-type": sort}}),
]
app.conf.worker_detect_quorum_queues = True
app.conf.broker_transport_options = {{"confirm_publish": True}}

@app.task(name="shop.judge", bind=True, acks_late=True)
def judge(self):
    if not (self.request.headers or {{}}).get("x-death") and not self.request.get("x-death"):
        raise Reject("no", requeue=False)
"""
    )
    shop = make_shop(rabbitmq_url, app=app)
    _run(shop, "shop.judge.delay()", lambda: shop.succeeded() == 1)
    (send,) = shop.named("send shop.judge")
    first, second = shop.named("process shop.judge")
    assert first["parentSpanId"] == second["parentSpanId"] == send["spanId"]
    assert first["attributes"]["mqtrace.outcome"] == "reject"
    assert second["attributes"]["celery.state"] == "SUCCESS"
    assert second["attributes"]["mqtrace.dead_letter.count"] == "1"
    assert second["attributes"]["mqtrace.dead_letter.reason"] == "rejected"
    assert second["attributes"]["mqtrace.dead_letter.queue"] == shop.environment["QUEUE"]
    assert second["attributes"]["messaging.destination.name"] == shop.environment["QUEUE"] + "-dead"
    assert "messaging.message.receive.latency" in second["attributes"]


def test_a_task_that_leaves_a_solo_worker_is_told_of(make_shop: Callable[..., Any], redis_url: str) -> None:
    """There is no other process that would: Celery sends a solo worker the signal of a pool's children, too."""
    app = _APP + "\n@app.task(name='shop.leave')\ndef leave():\n    raise SystemExit(-(256 - 15))\n"
    shop = make_shop(redis_url, app=app)
    worker = shop.worker("-P", "solo")
    shop.publish("shop.leave.delay()")
    worker.wait(60)
    (leave,) = shop.named("process shop.leave")
    assert leave["attributes"]["error.type"] == "SystemExit"
