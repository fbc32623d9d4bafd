"""The programs of docs/recipes.md, as they stand there."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "recipes.md"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = TRACEPARENT[3:35]


class Recipe:
    """The page's programs in a folder, and what they need to run there."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder = folder
        self.path = folder / "spans.jsonl"
        self.environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP": bootstrap,
            "MQTRACE_EXPORTER": self.path.as_uri(),
            "PYTHONPATH": str(folder),
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *command: str, **environment: str) -> str:
        """What a program printed."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def send(self, values: Sequence[bytes], contexts: Sequence[bytes] = ()) -> None:
        """Orders of somebody else, in these traces."""
        producer = Producer({"bootstrap.servers": self.environment["KAFKA_BOOTSTRAP"]})
        for value, context in zip_longest(values, contexts):
            producer.produce("orders", value, b"one partition", headers={"traceparent": context} if context else None)
        assert producer.flush(10) == 0

    def spans(self) -> list[dict[str, Any]]:
        """What was exported."""
        return [
            span
            for line in self.path.read_text().splitlines()
            for group in json.loads(line)["resourceSpans"]
            for scope in group["scopeSpans"]
            for span in scope["spans"]
        ]


@pytest.fixture
def recipe(tmp_path: Path, programs: Callable[[Path], list[str]], bootstrap: str) -> Recipe:
    programs(PAGE)
    return Recipe(tmp_path, bootstrap)


def by_name(spans: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {span["name"]: span for span in spans}


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def test_every_recipe_is_tested() -> None:
    named = set(re.findall(r"```python\n# (\w+\.py)\n", PAGE.read_text()))
    for name in named:
        assert name.removesuffix(".py") in Path(__file__).read_text(), name
    assert len(re.findall(r"```python\n", PAGE.read_text())) == len(named)


#: Each sends one request to the application in its own way, and prints the answer.
REQUESTS = {
    "fastapi_orders": """
        from fastapi.testclient import TestClient
        from fastapi_orders import app
        with TestClient(app) as client:
            print(client.post("/orders/soup", headers={"traceparent": TRACEPARENT}).json())
    """,
    "flask_orders": """
        from flask_orders import app
        print(app.test_client().post("/orders/soup", headers={"traceparent": TRACEPARENT}).json)
    """,
    "django_orders": """
        import django_orders
        from django.test import Client
        print(Client().post("/orders/soup", headers={"traceparent": TRACEPARENT}).json())
    """,
}


@pytest.mark.parametrize(("name", "needs"), [(name, name.partition("_")[0]) for name in REQUESTS])
def test_a_message_is_sent_in_the_trace_of_the_request(recipe: Recipe, name: str, needs: str) -> None:
    pytest.importorskip(needs)
    printed = recipe.run("-c", f"TRACEPARENT = {TRACEPARENT!r}\n" + textwrap.dedent(REQUESTS[name]))
    assert printed == "{'ordered': 'soup'}\n"
    found = by_name(recipe.spans())
    assert set(found) == {"POST", "send orders"}
    assert found["POST"]["parentSpanId"] == TRACEPARENT[36:52]
    assert attributes(found["POST"]) == {"url.path": "/orders/soup", "http.response.status_code": "200"}
    assert found["send orders"]["parentSpanId"] == found["POST"]["spanId"]
    assert {span["traceId"] for span in found.values()} == {TRACE}


def test_handlers_in_a_pool_run_in_the_traces_of_their_messages(recipe: Recipe) -> None:
    contexts = [b"00-%032x-%016x-01" % (number + 1, number + 1) for number in range(8)]
    recipe.send([b"dish %d" % number for number in range(8)], contexts)
    printed = recipe.run("polling_worker.py", MAX_MESSAGES="8")
    assert "dish 7" in printed
    spans = recipe.spans()
    handled = {span["traceId"]: span for span in spans if span["name"] == "process orders"}
    chopped = {span["traceId"]: span for span in spans if span["name"] == "chop"}
    assert {f"{number + 1:032x}" for number in range(8)} <= handled.keys()
    assert all(chopped[trace]["parentSpanId"] == span["spanId"] for trace, span in handled.items())


def test_threads_pools_tasks_and_processes_go_on_with_the_trace(recipe: Recipe) -> None:
    recipe.run("pools.py")
    spans = recipe.spans()
    found = by_name(spans)
    carried = {"chop in a thread", "chop in a pool", "chop in a task", "chop in a process"}
    assert carried | {"chop alone", "cook"} == found.keys()
    assert {found[name]["parentSpanId"] for name in carried} == {found["cook"]["spanId"]}
    assert "parentSpanId" not in found["chop alone"] or not found["chop alone"]["parentSpanId"]


def test_logs_of_both_libraries_name_the_span_they_were_made_in(recipe: Recipe) -> None:
    pytest.importorskip("structlog")
    opens, chopping, ready = map(json.loads, recipe.run("order_logs.py").splitlines())
    (span,) = recipe.spans()
    assert (opens["message"], opens["trace_id"], opens["service_name"]) == ("the kitchen opens", "", "")
    assert (chopping["message"], ready["event"], ready["plates"]) == ("chopping", "the soup is ready", 2)
    for record in (chopping, ready):
        said = [record[name] for name in ("trace_id", "span_id", "trace_flags", "service_name")]
        assert said == [span["traceId"], span["spanId"], "01", "kitchen"]


def test_a_users_tests_pass(recipe: Recipe) -> None:
    printed = recipe.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_orders.py")
    assert "2 passed" in printed


def test_a_message_that_is_sent_on_is_the_next_hop_of_its_trace(recipe: Recipe) -> None:
    assert recipe.run("retry_topic.py") == "cooked soup at attempt 3\n"
    spans = {span["spanId"]: span for span in recipe.spans()}
    hops = []
    (last,) = [one for one in spans.values() if one["name"].startswith("process") and "status" not in one]
    while last:
        hops.append(last["name"])
        last = spans.get(last.get("parentSpanId", ""), {})
    retry = ["process orders-retry", "send orders-retry"]
    assert hops == [*retry, *retry, "process orders", "send orders", "order"]
    assert len(spans) == len(hops)


def test_each_message_of_a_batch_is_handled_in_its_own_trace_and_the_loop_may_be_left(recipe: Recipe) -> None:
    contexts = [b"00-%032x-%016x-01" % (number, number) for number in range(1, 4)]
    recipe.send([b"soup", b"pizza", b"we are closed"], contexts)
    recipe.run("batch_worker.py")
    spans = recipe.spans()
    handled = {span["spanId"]: span for span in spans if span["name"] == "process orders"}
    cooked = [span for span in spans if span["name"].startswith("cook")]
    assert {span["name"]: span["traceId"] for span in cooked} == {"cook soup": f"{1:032x}", "cook pizza": f"{2:032x}"}
    assert all(handled[span["parentSpanId"]]["traceId"] == span["traceId"] for span in cooked)
    assert sorted(span["traceId"] for span in handled.values()) == [f"{number:032x}" for number in range(1, 4)]


def test_a_worker_that_is_told_to_end_finishes_and_sends_what_it_has(recipe: Recipe) -> None:
    recipe.send([b"soup"])
    command = [sys.executable, "stopped_worker.py"]
    with subprocess.Popen(
        command, cwd=recipe.folder, env=recipe.environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "cooking soup\n"
        worker.terminate()
        assert worker.stdout.read() == "stopped; everything left: True\n"
        assert worker.wait(10) == 0
    assert [span["name"] for span in recipe.spans()] == ["process orders"]


def test_a_program_that_knows_nothing_of_signals_loses_no_span_by_sigterm(recipe: Recipe) -> None:
    command = [sys.executable, "unaware_worker.py"]
    with subprocess.Popen(
        command, cwd=recipe.folder, env=recipe.environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "cooked\n"
        worker.terminate()
        assert worker.wait(10) == -signal.SIGTERM
    assert [span["name"] for span in recipe.spans()] == ["cook soup", "cook pizza"]


@pytest.mark.parametrize("server", ["gunicorn", "uwsgi"])
def test_processes_that_fork_export_what_each_of_them_did(recipe: Recipe, server: str) -> None:
    pytest.importorskip("flask")
    program = Path(sys.executable).with_name(server)
    if not program.exists():
        pytest.skip(f"{server} is not installed")
    (line,) = re.findall(rf"^\$ {server} (.*)$", PAGE.read_text(), re.M)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    where = ["--bind", address] if server == "gunicorn" else ["--home", sys.prefix]
    command = [str(program), *line.replace("127.0.0.1:8000", address).split(), *where]
    environment = {**recipe.environment, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    log = (recipe.folder / "log").open("wb")
    with log, subprocess.Popen(command, cwd=recipe.folder, env=environment, stdout=log, stderr=log) as process:
        try:
            answers = [ordered(f"http://{address}/orders/{number}") for number in range(20)]
        finally:
            process.terminate()
        process.wait(20)
    assert answers == [{"ordered": str(number)} for number in range(20)]
    spans = recipe.spans()
    requests = [span for span in spans if span["name"] == "POST"]
    assert len({span["traceId"] for span in requests}) == len(requests) == 20
    sent = {span["parentSpanId"] for span in spans if span["name"] == "send orders"}
    assert sent == {span["spanId"] for span in requests}


def ordered(url: str, seconds: float = 15.0) -> Any:
    """The answer of a server that may still be starting."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
