"""A program may import any module of a client's package first: it is traced all the same, and nothing is said."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: Import name of a client -> what tells that it is traced, and modules that import others of their package.
CLIENTS = {
    "aio_pika": ("hasattr(aio_pika.Connection.channel, '__wrapped__')", ["robust_connection", "channel", "queue"]),
    "aiokafka": ("is_traced(aiokafka.AIOKafkaProducer)", ["producer", "consumer.consumer", "structs", "helpers"]),
    "celery": ("INSTRUMENTATION.configured()", ["app.task", "signals", "worker", "bin.celery", "contrib.testing.app"]),
    "confluent_kafka": (
        "is_traced(confluent_kafka.Producer) and is_traced(confluent_kafka.SerializingProducer)",
        ["cimpl", "serializing_producer", "admin", "serialization", "aio"],
    ),
    "kafka": ("is_traced(kafka.KafkaProducer)", ["producer.kafka", "consumer", "consumer.fetcher", "structs"]),
    "kombu": (
        "is_traced(kombu.Producer) and is_traced(kombu.simple.SimpleQueue) and is_traced(kombu.messaging.Consumer)",
        ["simple", "messaging", "mixins", "pools", "common", "compat", "pidbox"],
    ),
    "pika": (
        "hasattr(pika.BlockingConnection.channel, '__wrapped__')",
        ["adapters.blocking_connection", "channel", "adapters.select_connection", "connection"],
    ),
}
PROGRAM = """
import os, sys
START
for name in sys.argv[2:]:
    if os.fork():
        assert os.wait()[1] == 0, name
        continue
    __import__(f"{sys.argv[1]}.{name}")
    import importlib, logging
    from mqtrace.clients.proxy import is_traced
    space = {"is_traced": is_traced, sys.argv[1]: importlib.import_module(sys.argv[1])}
    if sys.argv[1] == "kombu":
        import kombu.simple
    if sys.argv[1] == "celery":
        from mqtrace.clients.celery.state import INSTRUMENTATION
        space["INSTRUMENTATION"] = INSTRUMENTATION
    os._exit(0 if eval(os.environ["TRACED"], space) else 1)
"""


@pytest.mark.parametrize("start", ["import mqtrace.auto", ""], ids=["import mqtrace.auto", "mqtrace run"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_is_traced_whichever_of_its_modules_is_imported_first(client: str, start: str) -> None:
    pytest.importorskip(client)
    traced, modules = CLIENTS[client]
    run = [] if start else ["-m", "mqtrace.cli", "run", sys.executable]
    modules = modules if start else modules[:2]
    environment = {**os.environ, "MQTRACE_EXPORTER": "none:", "TRACED": traced, "MQTRACE_CLIENTS": client}
    done = subprocess.run(
        [sys.executable, *run, "-c", PROGRAM.replace("START", start), client, *modules],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
