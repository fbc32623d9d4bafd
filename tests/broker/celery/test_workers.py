"""Real Celery workers in processes of their own: every pool, every way in which a worker or its child can end."""

from __future__ import annotations

import collections
import importlib.util
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import billiard.common  # type: ignore[import-untyped]  # billiard ships no types
import celery  # type: ignore[import-untyped]  # Celery ships no types
import pytest

_LEAVING_IS_TOLD = hasattr(billiard.common, "terminate_handler_fired")  # billiard 4.3


def _ids(spans: list[dict[str, Any]]) -> list[str]:
    return [span["attributes"]["messaging.message.id"] for span in spans]


def _each_once(spans: list[dict[str, Any]]) -> None:
    counts = collections.Counter(span["spanId"] for span in spans)
    assert max(counts.values()) == 1, "a span was exported twice"


# ---------------------------------------------------------------------- brokers and pools


@pytest.mark.parametrize("system", ["redis", "rabbitmq", "filesystem"])
def test_a_trace_crosses_each_broker(
    make_shop: Callable[..., Any], request: pytest.FixtureRequest, tmp_path: Path, system: str
) -> None:
    if system == "filesystem":
        (tmp_path / "messages").mkdir()
        folder = str(tmp_path / "messages")
        shop = make_shop("filesystem://", repr({"data_folder_in": folder, "data_folder_out": folder}))
    else:
        shop = make_shop(request.getfixturevalue(f"{system}_url"))
    worker = shop.worker("-P", "solo")
    shop.publish("shop.add.delay(1, 2)")
    shop.stop(worker)
    shop.until(lambda: shop.named("process shop.add"), "the task ran", 5)
    (send,), (run,) = shop.named("send shop.add"), shop.named("process shop.add")
    assert (run["traceId"], run["parentSpanId"]) == (send["traceId"], send["spanId"])
    for span in (send, run):
        assert span["attributes"]["messaging.system"] == system
        assert span["attributes"]["messaging.destination.name"] == shop.environment["QUEUE"]
        assert ("server.port" in span["attributes"]) == (system != "filesystem")


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads", "gevent", "eventlet"])
def test_contexts_do_not_mix_in_any_pool(shop: Any, pool: str) -> None:
    if pool in ("gevent", "eventlet") and importlib.util.find_spec(pool) is None:
        pytest.skip(f"{pool} is not installed")
    worker = shop.worker("-P", pool, "-c", "4")
    shop.publish("[shop.outer.delay() for _ in range(20)]")
    shop.until(lambda: shop.succeeded() == 40, "the tasks ran")
    # Celery 5.5 fails to say goodbye in eventlet's main loop, with tracing or without
    assert shop.stop(worker) == 0 or pool == "eventlet"
    spans = {span["spanId"]: span for span in shop.spans()}
    inner = shop.named("process shop.inner")
    assert len(spans) == 80
    assert len(inner) == 20
    for run in inner:
        assert spans[run["parentSpanId"]]["parentSpanId"] == run["attributes"]["caller"]


def test_beat_sends_roots_and_loses_none(shop: Any) -> None:
    worker = shop.worker("-P", "prefork", "-c", "1", "-B", BEAT=str(shop.place / "schedule"))
    shop.until(lambda: shop.succeeded() >= 5, "beat has ticked")
    shop.stop(worker)
    sends = {span["spanId"]: span for span in shop.named("send shop.add")}
    runs = shop.named("process shop.add")
    assert len(runs) >= 5
    assert not any(span.get("parentSpanId") for span in sends.values())
    assert {run["parentSpanId"] for run in runs} <= sends.keys()


# ---------------------------------------------------------------------- children that are killed


def test_a_hard_time_limit_and_a_killed_child_show_as_failed_tasks_once(shop: Any) -> None:
    worker = shop.worker("-c", "2")
    shop.publish("shop.slow.delay(); shop.die.delay(); shop.leave.delay()")
    # die's own call of add went to the broker before it died
    shop.until(lambda: shop.succeeded(), "add ran")
    shop.until(lambda: "Hard time limit" in shop.log(), "slow was killed")
    time.sleep(1)
    shop.stop(worker)
    _each_once(shop.spans())
    found = {
        name: [span["attributes"]["error.type"] for span in shop.named(f"process shop.{name}")]
        for name in ("slow", "die", "leave")
    }
    assert found == {
        "slow": ["billiard.exceptions.TimeLimitExceeded"],
        "die": ["billiard.exceptions.WorkerLostError"],
        "leave": ["SystemExit" if _LEAVING_IS_TOLD else "billiard.exceptions.WorkerLostError"],
    }
    (die,) = shop.named("process shop.die")
    assert die["attributes"]["celery.state"] == "FAILURE"
    assert die["status"]["code"] == 2
    (slow,) = shop.named("process shop.slow")
    assert int(slow["endTimeUnixNano"]) - int(slow["startTimeUnixNano"]) > 0.9e9


def test_a_task_whose_child_was_killed_and_that_is_redelivered_has_a_span_for_each_attempt(shop: Any) -> None:
    worker = shop.worker("-c", "1")
    shop.publish(f"shop.die_once.delay({str(shop.place / 'once')!r})")
    shop.until(lambda: shop.succeeded(), "the second attempt ran")
    shop.stop(worker)
    runs = sorted(shop.named("process shop.die_once"), key=lambda span: int(span["startTimeUnixNano"]))
    assert [run["attributes"]["celery.state"] for run in runs] == ["FAILURE", "SUCCESS"]
    assert len({run["parentSpanId"] for run in runs}) == 1
    assert runs[1]["attributes"]["mqtrace.redelivered"] is True


def test_a_terminated_task_is_told_of_once_and_from_when_it_began(shop: Any) -> None:
    worker = shop.worker("-c", "1")
    shop.publish(
        "import time\nresult = shop.sleep.delay(60)\ntime.sleep(2)\n"
        "shop.app.control.revoke(result.id, terminate=True)\ntime.sleep(1)"
    )
    shop.stop(worker)
    (run,) = shop.named("process shop.sleep")
    assert run["attributes"]["celery.state"] == "REVOKED"
    assert run["attributes"]["mqtrace.revoked"] == "terminated"
    assert int(run["endTimeUnixNano"]) - int(run["startTimeUnixNano"]) > 1e9


def test_a_cold_shutdown_loses_no_span_and_tells_of_what_it_cancelled(shop: Any) -> None:
    worker = shop.worker("-c", "2")
    shop.publish("[shop.add.delay(n) for n in range(50)]; shop.sleep.delay(60)")
    shop.until(lambda: shop.succeeded() == 50, "the tasks ran")
    time.sleep(0.5)
    shop.stop(worker, signal.SIGQUIT)
    _each_once(shop.spans())
    assert len(shop.named("process shop.add")) == 50
    (run,) = shop.named("process shop.sleep")
    # before Celery 5.5 the child is lost before the task is cancelled
    assert run["attributes"]["error.type"] in ("cancelled", "billiard.exceptions.WorkerLostError")


_SOFT = pytest.mark.skipif(celery.VERSION < (5, 5), reason="Celery 5.5 brought the soft shutdown")


@_SOFT
@pytest.mark.parametrize("task", ["sleep", "sleep_late"])
@pytest.mark.parametrize("signals", [(signal.SIGQUIT,), (signal.SIGTERM, signal.SIGQUIT)])
def test_a_soft_shutdown_tells_of_each_task_once_whether_it_finished_in_time_or_was_cut_off(
    shop: Any, signals: tuple[signal.Signals, ...], task: str
) -> None:
    worker = shop.worker("-c", "2", SOFT_SHUTDOWN="3")
    short, long = shop.publish(
        f"[shop.add.delay(n) for n in range(20)]; print(shop.{task}.delay(2).id, shop.{task}.delay(60).id)"
    ).split()
    shop.until(lambda: shop.succeeded() == 20 and long in shop.log(), "the short tasks ran")
    time.sleep(0.5)
    for each in signals:
        worker.send_signal(each)
        time.sleep(0.3)
    worker.wait(60)
    assert "Initiating Soft Shutdown" in shop.log()
    assert len(shop.named("process shop.add")) == 20
    runs = {run["attributes"]["messaging.message.id"]: run for run in shop.named(f"process shop.{task}")}
    _each_once(shop.spans())
    assert runs.keys() == {short, long}
    assert runs[short]["attributes"]["celery.state"] == "SUCCESS"
    assert "status" not in runs[short]
    assert runs[long]["attributes"]["error.type"] == "cancelled"
    assert int(runs[long]["endTimeUnixNano"]) - int(runs[long]["startTimeUnixNano"]) > 3e9


# ---------------------------------------------------------------------- nothing is lost


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ten_thousand_tasks_lose_no_span_when_a_worker_is_stopped_in_the_middle(shop: Any) -> None:
    first = shop.worker("-c", "2")
    shop.publish("[shop.add.delay(n) for n in range(10_000)]")
    shop.until(lambda: len(shop.named("process shop.add")) > 2000, "some have run")
    second = shop.worker("-c", "2")
    assert shop.stop(first) == 0
    shop.until(lambda: len(shop.named("process shop.add")) >= 9500, "most have run", 100)
    time.sleep(2)
    assert shop.stop(second) == 0
    sends, runs = shop.named("send shop.add"), shop.named("process shop.add")
    _each_once(sends + runs)
    assert len(set(_ids(sends))) == 10_000
    assert set(_ids(runs)) == set(_ids(sends))
    # A worker that stops gives back what it has not acknowledged: a task may run twice, and each run has its span.
    assert len(runs) == shop.succeeded(0) + shop.succeeded(1)
    assert min(shop.succeeded(0), shop.succeeded(1)) > 1000, "both have worked"
    assert {run["parentSpanId"] for run in runs} == {send["spanId"] for send in sends}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_two_hundred_recycled_children_lose_no_span(shop: Any) -> None:
    worker = shop.worker("-c", "8", "--max-tasks-per-child=1")
    shop.publish("[shop.add.delay(n) for n in range(200)]")
    shop.until(lambda: shop.succeeded() == 200, "the tasks ran", 120)
    assert shop.stop(worker) == 0
    runs = shop.named("process shop.add")
    _each_once(runs)
    assert sorted(_ids(runs)) == sorted(_ids(shop.named("send shop.add")))
    assert len(runs) == 200


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_killed_child_loses_at_most_what_it_had_queued(shop: Any) -> None:
    worker = shop.worker("-c", "2", OTEL_BSP_SCHEDULE_DELAY="200")
    shop.publish("[shop.late.delay(n) for n in range(1500)]")
    shop.until(lambda: shop.succeeded() >= 500, "some have run")
    os.kill(shop.children(worker)[0], signal.SIGKILL)
    before = len(shop.named("process shop.late"))
    shop.until(lambda: shop.succeeded() >= 1498, "the others took over")
    assert shop.stop(worker) == 0
    runs = shop.named("process shop.late")
    _each_once(runs)
    missing = 1500 - len(set(_ids(runs)))
    assert before > 0
    assert 0 <= missing <= 100, "two tenths of a second of one child, at a hundred spans a batch at most"


def test_a_kafka_exporter_that_the_parent_has_used_neither_hangs_nor_loses_in_recycled_children(
    make_shop: Callable[..., Any], redis_url: str, kafka_embedded: str, make_topic: Callable[..., str]
) -> None:
    from confluent_kafka import Consumer

    from mqtrace.otlp.read import OtlpReader

    topic = make_topic(kafka_embedded)
    shop = make_shop(redis_url)
    source = shop.place / "shop.py"
    text = source.read_text(encoding="utf-8").replace(
        '"file://" + os.environ["SPANS"]', f'"kafka://{kafka_embedded}/{topic}"'
    )
    # the parent's producer is alive when its children are forked
    source.write_text(text + "\nTRACER.start_span('before').end()\nmqtrace.flush()\n", encoding="utf-8")
    worker = shop.worker("-c", "2", "--max-tasks-per-child=2")
    shop.publish("[shop.add.delay(n) for n in range(12)]")
    shop.until(lambda: shop.succeeded() == 12, "the tasks ran")
    began = time.monotonic()
    assert shop.stop(worker) == 0
    assert time.monotonic() - began < 20
    consumer = Consumer({"bootstrap.servers": kafka_embedded, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    reader = OtlpReader()
    names: collections.Counter[str] = collections.Counter()
    deadline = time.monotonic() + 20
    while names["process shop.add"] < 12 and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            names.update(span.name for span in reader.read(message.value()))
    consumer.close()
    assert names == {"before": 2, "send shop.add": 12, "process shop.add": 12}
