"""Clients that ddtrace has patched too are traced once. In processes of their own, since it patches."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ddtrace") is None, reason="ddtrace is not installed")

START = """
import asyncio, json, logging, sys
from ddtrace import patch
from ddtrace.trace import TraceFilter, tracer

theirs = []

class Kept(TraceFilter):
    def process_trace(self, trace):
        theirs.extend(span.name for span in trace)

tracer.configure(trace_processors=[Kept()])
log = logging.getLogger("mqtrace")
log.addHandler(logging.StreamHandler())
log.setLevel(logging.WARNING)
log.propagate = False

import mqtrace
from mqtrace.testing import record

def both(work):
    theirs.clear()
    with record() as spans:
        work()
    return sorted(span.name for span in spans), sorted(theirs)

def theirs_alone(work):
    theirs.clear()
    work()
    return sorted(theirs)

def said(*found):
    print(json.dumps(found))
"""


def run(*program: str) -> tuple[Any, str]:
    """What a program of these parts says, and what was logged."""
    quiet = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-c", "".join(map(textwrap.dedent, (START, *program)))],
        env={**os.environ, **quiet, "DD_TRACE_AGENT_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


CONFLUENT = """
import confluent_kafka

def through(how):
    producer = how(confluent_kafka.Producer, {"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(producer.list_topics(timeout=5).brokers.values()))
    producer.produce("orders", b"1")
    producer.flush(5)
    address = f"{broker.host}:{broker.port}"
    settings = {"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = how(confluent_kafka.Consumer, settings)
    consumer.subscribe(["orders"])
    with mqtrace.process(consumer.poll(15)):
        pass
    consumer.close()
"""
AIOKAFKA = """
import aiokafka, confluent_kafka

def through(how):
    holder = confluent_kafka.Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(holder.list_topics(timeout=5).brokers.values()))

    async def run():
        at = {"bootstrap_servers": f"{broker.host}:{broker.port}"}
        producer = how(aiokafka.AIOKafkaProducer, at)
        async with producer:
            await producer.send_and_wait("orders", b"1")
        consumer = how(aiokafka.AIOKafkaConsumer, at, "orders", auto_offset_reset="earliest")
        async with consumer:
            with mqtrace.process(await consumer.getone()):
                pass

    asyncio.run(run())
"""
KOMBU = """
import kombu

def through(how):
    with kombu.Connection("memory://") as connection:
        queue = kombu.Queue("orders")
        how(kombu.Producer, {}, connection).publish({}, routing_key="orders", declare=[queue])
        consumer = how(kombu.Consumer, {}, connection, [queue])
        consumer.register_callback(lambda body, message: message.ack())
        with consumer:
            connection.drain_events(timeout=5)
"""
OBJECT = "how = lambda kind, named, *args, **more: mqtrace.wrap(MAKE)\n"
CLASS = "how = lambda kind, named, *args, **more: mqtrace.wrap(kind)(ARGS)\n"
#: A program, ddtrace's name of the client, how its constructors take what a program gives, and ddtrace's spans.
CLIENTS = {
    "confluent_kafka": (CONFLUENT, "kafka", "named", ["kafka.consume", "kafka.produce"]),
    "aiokafka": (AIOKAFKA, "aiokafka", "*args, **named, **more", ["kafka.consume", "kafka.produce"]),
    "kombu": (KOMBU, "kombu", "*args, **named, **more", ["kombu.publish", "kombu.receive"]),
}


def ways(arguments: str) -> list[str]:
    return [OBJECT.replace("MAKE", f"kind({arguments})"), CLASS.replace("ARGS", arguments)]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_message_is_traced_once(client: str, first: str) -> None:
    pytest.importorskip(client)
    program, name, arguments, theirs = CLIENTS[client]
    patch = f"patch({name}=True)\n"
    use = "".join(f"{way}found.append(both(lambda: through(how)))\n" for way in ways(arguments))
    found, logged = run(
        "found = []\n" if first == "ours" else f"{patch}found = []\n",
        program,
        f"{ways(arguments)[0]}through(how)\n{patch}" if first == "ours" else "",
        use,
        "said(*found)",
    )
    assert found == [[["process orders", "send orders"], []]] * 2
    assert logged.count(f"DD_PATCH_MODULES={name}:false") == 1
    assert theirs


@pytest.mark.parametrize("client", CLIENTS)
def test_while_mqtrace_is_not_configured_it_is_theirs(client: str) -> None:
    pytest.importorskip(client)
    program, name, arguments, theirs = CLIENTS[client]
    use = "".join(f"{way}found.append(theirs_alone(lambda: through(how)))\n" for way in ways(arguments))
    found, logged = run(f"patch({name}=True)\nfound = []\n", program, use, "said(*found)")
    assert [sorted(set(made)) for made in found] == [theirs] * 2
    assert "both trace" not in logged or client == "confluent_kafka"  # which says it when it is wrapped


CELERY = """
import celery
from celery.contrib.testing import worker

app = celery.Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.update(worker_hijack_root_logger=False)

@app.task(name="shop.cook")
def cook():
    return 1

def through():
    with worker.start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
        cook.delay().get(timeout=10)
"""


@pytest.mark.parametrize(
    "start",
    [
        "patch(celery=True, kombu=True)\nCELERY\nmqtrace.instrument_celery()",
        "CELERY\nmqtrace.instrument_celery(app)\nPATCH",
    ],
    ids=["theirs first", "ours first"],
)
def test_a_task_is_traced_once_and_so_is_its_message(start: str) -> None:
    pytest.importorskip("celery")
    start = start.replace("PATCH", "patch(celery=True, kombu=True)").replace("CELERY", textwrap.dedent(CELERY))
    found, logged = run(
        start, "\nboth_of = both(through)\nmqtrace.uninstrument_celery()\nsaid(both_of, theirs_alone(through))"
    )
    assert found[0] == [["process shop.cook", "send shop.cook"], []]
    assert {"celery.apply", "celery.run", "kombu.publish"} <= set(found[1])
    assert logged.count("DD_PATCH_MODULES=celery:false") == 1
