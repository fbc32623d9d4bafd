"""``mqtrace run`` and ``import mqtrace.auto``: clients are traced without a change of the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mqtrace.cli.run import command, environment

KAFKA = """
import confluent_kafka
from confluent_kafka import Producer

def send(topic):
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    producer.produce(topic, b"x")
    assert producer.flush(10) == 0
"""


def test_a_script_a_module_and_a_program_are_run(traced: Any) -> None:
    traced.script(KAFKA, "shop.py")
    traced.script("import shop, sys\nshop.send('orders')\nprint(sys.argv[1:], __name__)\n", "sell.py")
    for arguments in (["sell.py", "a", "-b"], ["-m", "sell", "a", "-b"], [sys.executable, "sell.py", "a", "-b"]):
        done = traced.run(*arguments)
        assert done.stdout == "['a', '-b'] __main__\n", done.stderr
    assert traced.names() == ["send orders"] * 3


def test_the_exit_status_is_the_programs(traced: Any) -> None:
    assert traced.run(str(traced.script("raise SystemExit(7)"))).returncode == 7
    assert traced.run("no-such-program-here").returncode == 127
    assert traced.run().returncode == 2
    assert "mqtrace run" in traced.run("--help").stdout


def test_the_line_import_mqtrace_auto_does_the_same(traced: Any) -> None:
    path = traced.script("import mqtrace.auto\n" + KAFKA + "send('orders')\n")
    done = subprocess.run(
        [sys.executable, str(path)], env=traced.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert traced.names() == ["send orders"]


def test_names_that_were_imported_before_are_replaced_where_they_stand(traced: Any) -> None:
    path = traced.script(KAFKA + "import mqtrace.auto\nsend('orders')\nassert Producer is confluent_kafka.Producer\n")
    done = subprocess.run(
        [sys.executable, str(path)], env=traced.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert traced.names() == ["send orders"]


def test_a_program_that_configures_itself_has_the_last_word(traced: Any) -> None:
    traced.program(
        KAFKA
        + """
import mqtrace
mqtrace.configure("mine", exporter="none:")
send("orders")
assert mqtrace.stats()["spans_exported"] + mqtrace.stats()["spans_queued"] + mqtrace.stats()["spans_in_flight"] == 1
"""
    )
    assert traced.names() == []


def test_types_are_what_they_were(traced: Any) -> None:
    said = traced.program(
        """
        import confluent_kafka
        from confluent_kafka import cimpl
        raw = cimpl.Producer({"bootstrap.servers": "x", "log_level": 0})
        made = confluent_kafka.Producer({"bootstrap.servers": "x", "log_level": 0})
        print(isinstance(raw, confluent_kafka.Producer), isinstance(made, cimpl.Producer),
              issubclass(cimpl.Producer, confluent_kafka.Producer), confluent_kafka.Producer.__name__)
        class Mine(confluent_kafka.Producer):
            pass
        print(isinstance(Mine({"bootstrap.servers": "x", "log_level": 0}), cimpl.Producer))
        import mqtrace
        print(mqtrace.wrap(made) is made, mqtrace.wrap(confluent_kafka.Producer) is confluent_kafka.Producer)
        """
    )
    assert said.split() == ["True", "True", "True", "Producer", "True", "True", "True"]


@pytest.mark.parametrize("off", [{"MQTRACE_DISABLED": "true"}, {"MQTRACE_CLIENTS": "pika"}])
def test_it_is_turned_off_as_a_whole_or_but_for_some_clients(traced: Any, off: dict[str, str]) -> None:
    traced.program(KAFKA + "send('orders')\nimport sys\nprint('mqtrace' in sys.modules)\n", **off)
    assert traced.names() == []


def test_clients_are_named_with_hyphens_too_and_an_unknown_one_is_one_warning(traced: Any) -> None:
    done = traced.run(str(traced.script(KAFKA + "send('orders')\n")), MQTRACE_CLIENTS="confluent-kafka, nats")
    assert traced.names() == ["send orders"]
    assert done.stderr.count("nats") == 1


def test_stand_ins_in_the_globals_of_a_module_are_not_asked_what_they_stand_for(traced: Any) -> None:
    """Celery's current_app and Flask's request are such: outside of a request there is nothing that they stand for."""
    program = """
        class StandIn:
            def __hash__(self):
                raise RuntimeError("working outside of request context")
            def __eq__(self, other):
                raise RuntimeError("working outside of request context")
        request = StandIn()
        from confluent_kafka import Producer
        import mqtrace.auto
        from mqtrace.clients.proxy import is_traced
        print(is_traced(Producer))
        """
    environment = traced.environment()
    path = traced.script(program)
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_program_that_instruments_celery_itself_before_it_imports_it(traced: Any) -> None:
    program = """
        import mqtrace
        mqtrace.instrument_celery()
        import celery
        app = celery.Celery("shop", broker="memory://")
        app.send_task("shop.charge")
        """
    done = traced.run(str(traced.script(program)))
    assert done.returncode == 0, done.stderr
    assert traced.names() == ["send shop.charge"]
    assert "Traceback" not in done.stderr


def test_unknown_clients_alone_are_one_warning_too(traced: Any) -> None:
    done = traced.run(str(traced.script(KAFKA + "send('orders')\n")), MQTRACE_CLIENTS="kafka-python")
    assert traced.names() == []
    assert done.stderr.count("'kafka_python'") == 1
    assert done.returncode == 0


def test_a_program_without_a_client_imports_nothing_of_ours(traced: Any) -> None:
    said = traced.program("import sys; print(sorted(name for name in sys.modules if name.startswith('mqtrace')))")
    assert said.strip() == "['mqtrace.imports']"


def test_a_sitecustomize_that_was_there_is_run_too(traced: Any, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("THEIRS = True\n")
    said = traced.program("import sitecustomize; print(sitecustomize.THEIRS)", PYTHONPATH=str(tmp_path / "site"))
    assert said.strip() == "True"


def test_an_interpreter_without_mqtrace_goes_on_silently(traced: Any, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True, timeout=60)
    (tmp_path / "pika.py").write_text("print('their pika')\n")
    done = traced.run(str(tmp_path / "bare" / "bin" / "python"), "-c", "import pika", PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr, done.returncode) == ("their pika\n", "", 0)


def test_the_environment_is_changed_once() -> None:
    once = environment({"PYTHONPATH": "a"})
    assert environment(once) == once
    assert once["PYTHONPATH"].split(os.pathsep)[1:] == ["a"]
    assert command(["program", "-x"]) == ["program", "-x"]
    assert command(["-m", "shop"]) == [sys.executable, "-m", "shop"]


# ---------------------------------------------------------------------- children


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_are_traced(traced: Any, method: str) -> None:
    traced.script(KAFKA, "shop.py")
    traced.program(
        f"""
        import multiprocessing
        import shop
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            child = context.Process(target=shop.send, args=("orders",))
            child.start()
            child.join(30)
            assert child.exitcode == 0
        """
    )
    assert traced.names() == ["send orders"]


def test_a_subprocess_is_traced(traced: Any) -> None:
    traced.script(KAFKA, "shop.py")
    traced.program(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import shop; shop.send(\"orders\")'])"
    )
    assert traced.names() == ["send orders"]


WSGI = (
    KAFKA
    + """
def app(environ, start_response):
    send("orders")
    start_response("200 OK", [])
    return [b"ok"]

async def asgi(scope, receive, send_):
    if scope["type"] != "http":
        return
    send("orders")
    await send_({"type": "http.response.start", "status": 200, "headers": []})
    await send_({"type": "http.response.body", "body": b"ok"})
"""
)


@pytest.mark.parametrize(
    "server",
    [
        ["gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "web:app"],
        ["uvicorn", "--port", "{port}", "web:asgi"],
        ["uvicorn", "--port", "{port}", "--reload", "web:asgi"],
    ],
    ids=["gunicorn", "uvicorn", "uvicorn --reload"],
)
def test_workers_of_a_server_are_traced(
    traced: Any, until: Callable[[Callable[[], Any]], Any], server: list[str]
) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    traced.script(WSGI, "web.py")
    arguments = ["-m", *(part.format(port=port) for part in server)]
    process = subprocess.Popen(
        traced.command(*arguments), cwd=traced.folder, env=traced.environment(), stderr=subprocess.PIPE, text=True
    )

    def answered() -> bool:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as response:
                return bool(response.read() == b"ok")
        except OSError:
            return False

    try:
        until(answered)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert set(traced.names()) == {"send orders"}


# ---------------------------------------------------------------------- the other clients


def test_kombu_is_traced_where_an_application_uses_it(traced: Any) -> None:
    traced.program(
        """
        import kombu
        from kombu import Connection, Consumer, Producer
        from kombu.pools import producers

        with Connection("memory://") as connection:
            queue = kombu.Queue("orders")
            Producer(connection).publish({"n": 1}, routing_key="orders", declare=[queue])
            connection.Producer().publish({"n": 2}, routing_key="orders", declare=[queue])
            with producers[connection].acquire(block=True) as pooled:
                pooled.publish({"n": 3}, routing_key="orders", declare=[queue])
            got = []
            def callback(body, message):
                got.append(body)
                message.ack()
            with Consumer(connection, [queue], callbacks=[callback]):
                for _ in range(3):
                    connection.drain_events(timeout=2)
            simple = connection.SimpleQueue("simple")
            simple.put({"n": 4})
            simple.get(timeout=2).ack()
            assert len(got) == 3
        """
    )
    assert traced.names() == ["send orders"] * 3 + ["process orders"] * 3 + ["send simple:simple"]


def test_celerys_tasks_have_their_two_spans_and_its_own_messages_none(traced: Any) -> None:
    traced.program(
        """
        import threading, time
        from celery import Celery
        from celery.contrib.testing.worker import start_worker

        app = Celery("shop", broker="memory://", backend="rpc://")

        @app.task(name="shop.add")
        def add(a, b):
            return a + b

        with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
            result = add.delay(1, 2)
            time.sleep(2)
        """
    )
    spans = traced.spans()
    assert [span["name"] for span in spans] == ["send shop.add", "process shop.add"]
    assert spans[1]["parentSpanId"] == spans[0]["spanId"]


def test_a_program_may_import_a_module_of_kombu_that_imports_its_clients(traced: Any) -> None:
    for name in ("pools", "messaging", "mixins", "connection"):
        program = (
            f"import mqtrace.auto, kombu.{name}, kombu.pools; from kombu import Producer\n"
            "print(kombu.pools.ProducerPool.Producer is Producer, Producer._mqtrace_wraps is not None)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=traced.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("True True\n", ""), name


def test_celerys_prefork_workers_and_the_program_that_sends_are_traced(
    traced: Any, until: Callable[[Callable[[], Any]], Any]
) -> None:
    pytest.importorskip("celery")
    traced.script(
        """
        from celery import Celery

        app = Celery("shop", broker="filesystem://")
        folder = "messages"
        app.conf.broker_transport_options = {
            "data_folder_in": folder, "data_folder_out": folder, "control_folder": folder, "store_processed": False
        }
        app.conf.task_ignore_result = True
        app.conf.worker_cancel_long_running_tasks_on_connection_loss = True

        @app.task(name="shop.cook")
        def cook():
            pass
        """,
        "shop.py",
    )
    (traced.folder / "messages").mkdir()
    sent = traced.run("-c", "import shop; [shop.cook.delay() for _ in range(4)]")
    assert sent.returncode == 0, sent.stderr
    worker = ["-m", "celery", "-A", "shop", "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "ERROR"]
    environment = traced.environment(OTEL_BSP_SCHEDULE_DELAY="100", C_FORCE_ROOT="true")
    with (traced.folder / "log").open("w") as log:
        process = subprocess.Popen(
            traced.command(*worker, "--without-mingle", "--without-gossip"),
            cwd=traced.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: process.poll() is not None or traced.names().count("process shop.cook") == 4)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert sorted(traced.names()) == ["process shop.cook"] * 4 + ["send shop.cook"] * 4, (
        traced.folder / "log"
    ).read_text()
    sends = {span["spanId"] for span in traced.spans() if span["name"].startswith("send")}
    assert {span["parentSpanId"] for span in traced.spans() if span["name"].startswith("process")} == sends
