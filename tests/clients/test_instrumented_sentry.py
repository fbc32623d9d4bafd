"""Celery tasks and kombu's messages beside Sentry: spans of mqtrace alone, and every error reported as before."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("sentry_sdk")
pytest.importorskip("celery")
pytestmark = pytest.mark.slow

#: In a process of its own, since Sentry patches Celery and kombu and never takes that back.
PROGRAM = """
import json, logging, sys
import celery, kombu, mqtrace, sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport
from mqtrace.testing import record

log = logging.getLogger("mqtrace")
log.addHandler(logging.StreamHandler())
log.setLevel(logging.WARNING)  # a worker changes the root's, and has a handler there
log.propagate = False
theirs, errors = [], []

class Kept(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            event = item.payload.json or {}
            if item.type == "transaction":
                theirs.append(event["contexts"]["trace"]["op"])
                theirs.extend(span["op"] for span in event["spans"])
            elif item.type == "event":
                errors.append((event["exception"]["values"][-1]["type"], "celery_task_id" in event["tags"]))

def sentry():
    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Kept, traces_sample_rate=1.0, default_integrations=False,
                    integrations=[CeleryIntegration()], OPTIONS)

app = celery.Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
app.conf.update(worker_hijack_root_logger=False)

@app.task(name="shop.cook")
def cook(dish):
    if dish == "burnt":
        raise ValueError(dish)
    return dish

def run(**instrumented):
    from celery.contrib.testing import worker
    with worker.start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
        with sentry_sdk.start_transaction(op="http.server", name="POST /order"):
            for dish in ("soup", "burnt"):
                cook.delay(dish).get(timeout=10, propagate=False)
    sentry_sdk.flush()

def spans_of(work):
    with record() as spans:
        work()
    return sorted(span.name for span in spans)

def said():
    print(json.dumps([*map(list, RESULT), sorted(set(theirs)), errors]))
"""
OURS = ["process shop.cook", "process shop.cook", "send shop.cook", "send shop.cook"]
ERRORS = [["ValueError", True]]


def run(program: str, options: str = "") -> tuple[list[object], str]:
    """What the program printed, and what was logged. ``options``: further arguments of Sentry's."""
    import json

    text = textwrap.dedent(PROGRAM).replace("OPTIONS", options) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", text], env=dict(os.environ), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found, done.stderr


THEIRS = ["http.server", "queue.process", "queue.publish", "queue.submit.celery", "queue.task.celery"]


@pytest.mark.parametrize(
    "start",
    [
        "sentry(); mqtrace.instrument_celery()",
        "mqtrace.instrument_celery(); sentry()",
        "sentry(); run(); theirs.clear(); errors.clear(); mqtrace.instrument_celery(app)",
    ],
    ids=["Sentry first", "mqtrace first", "after a task, of one app"],
)
def test_a_task_is_traced_once_and_its_error_is_reported(start: str) -> None:
    found, logged = run(f"{start}\nRESULT = [spans_of(run)]\nsaid()")
    assert found == [OURS, ["http.server"], ERRORS]
    assert logged.count("Sentry's instrumentation and mqtrace both trace celery") == 1


def test_without_us_theirs_makes_its_spans() -> None:
    found, _ = run("sentry()\nrun()\nRESULT = []\nsaid()")
    assert found == [THEIRS, ERRORS]


@pytest.mark.parametrize(
    "work", ["run()", "with record(): mqtrace.uninstrument_celery(); run()"], ids=["not configured", "taken away"]
)
def test_while_mqtrace_makes_no_spans_they_are_theirs(work: str) -> None:
    found, logged = run(f"sentry(); mqtrace.instrument_celery()\n{work}\nRESULT = []\nsaid()")
    assert found == [THEIRS, ERRORS]
    assert "both trace" not in logged


def test_another_apps_tasks_are_theirs() -> None:
    found, _ = run(
        "sentry(); mqtrace.instrument_celery(celery.Celery('other', set_as_current=False))\n"
        "RESULT = [spans_of(run)]\nsaid()"
    )
    assert found == [[], THEIRS, ERRORS]


def test_without_tracing_of_theirs_nothing_is_said() -> None:
    program = "mqtrace.instrument_celery(); sentry()\nRESULT = [spans_of(run)]\nsaid()"
    found, logged = run(program.replace("sentry()", "sentry_sdk.init('http://key@127.0.0.1:9/1', transport=Kept)"))
    assert found == [OURS, [], ERRORS]
    assert "both trace" not in logged


def test_messages_of_kombu_are_traced_once() -> None:
    found, logged = run(
        """
        sentry()
        def publish(wrap):
            with sentry_sdk.start_transaction(op="http.server", name="POST /order"):
                producer = wrap(kombu.Producer(kombu.Connection("memory://")))
                producer.publish({}, routing_key="orders", declare=[kombu.Queue("orders")])
        RESULT = [spans_of(lambda: publish(mqtrace.wrap))]
        before = list(theirs)
        publish(lambda raw: raw)
        assert before == ["http.server"]
        said()
        """
    )
    assert found == [["send orders"], ["http.server", "queue.publish"], []]
    assert logged.count("Sentry's instrumentation and mqtrace both trace kombu") == 1
