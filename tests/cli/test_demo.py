"""``mqtrace demo`` end to end, as a user runs it: processes, a broker, its exit status, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from mqtrace.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "mqtrace.cli", "demo"]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "MQTRACE_"))}
    return {**kept, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", **more}


def demo(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=environment(**more),
        cwd=ROOT,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def as_json() -> list[dict[str, Any]]:
    """The lines of one run with --json."""
    done = demo("--json", "--orders", "40")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_ends_by_itself_with_waterfalls_and_a_summary() -> None:
    began = time.monotonic()
    done = demo()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert time.monotonic() - began < 40, "it says that it takes seconds"
    for shown in (
        "an order, from the front to the batch that shipped it",
        "✗ PaymentRefused: 990 is over the card's limit",
        "(tombstone)",
        "(batch of ",
        "(retry 1)",
        "↪ partition",
        "in queue",
        "write to the customer",
        "0 spans",
        "us a message",
        "100 of the spans are its own: the front's requests, above our messages",
        "Who sends to whom: the demo's run",
        "passed over: the group handled a later offset",
        "mqtrace tail kafka://localhost:9092/otlp_spans",
    ):
        assert shown in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_summary_counts_every_message_and_span(as_json: list[dict[str, Any]]) -> None:
    summary = as_json[-1]["summary"]
    traces = as_json[:-1]
    # 40 orders; of ten, one is withdrawn and one is refused; one is passed over. What was paid is shipped, and has a
    # notice and a receipt
    assert summary["messages_sent"] == summary["messages_processed"] == 40 + 3 * 31
    assert summary["traces"] == summary["traces_whole"] == len(traces)
    assert summary["spans"] == summary["spans_exported"] == sum(len(trace["spans"]) for trace in traces)
    assert summary["spans_dropped"] == 0
    assert summary["problems"] == []
    assert summary["bare_cost_us"] > 0
    assert summary["added_cost_us"] > 0


def test_a_payment_is_in_its_order_s_trace_and_the_batch_links_to_it(as_json: list[dict[str, Any]]) -> None:
    traces = as_json[:-1]
    paid = [trace for trace in traces if "payments" in trace["destinations"] and trace["services"][0] == "front"]
    assert len(paid) == 31
    for trace in paid:
        assert [span["name"] for span in trace["spans"]] == [
            "POST /order",
            "send orders",
            "process orders",
            "charge card",
            "send payments",
            "send notices",
            "process notices",
            "write to the customer",
            "send shop.receipt",
            "process shop.receipt",
            *(["send shop.receipt", "process shop.receipt"] if _is_retried(trace) else []),
            "render receipt",
        ]
        (batch,) = trace["linked_spans"]
        assert batch["service"] == "shipping"
        assert trace["trace_id"] in {link["trace_id"] for link in batch["links"]}
        assert trace["spans"][2]["queue_ms"] is not None


def _is_retried(trace: dict[str, Any]) -> bool:
    return any(span["attributes"].get("celery.retries") for span in trace["spans"])


def test_a_receipt_is_sent_by_celery_in_the_same_trace_and_a_retry_is_a_sibling(as_json: list[dict[str, Any]]) -> None:
    retried = [trace for trace in as_json[:-1] if _is_retried(trace)]
    assert len(retried) == 4, "every tenth order that was paid"
    for trace in retried:
        assert "receipts" in trace["services"]
        first, second = (span for span in trace["spans"] if span["name"] == "process shop.receipt")
        assert first["parent_id"] == second["parent_id"]
        assert first["span_id"] in {link["span_id"] for link in second["links"]}
        assert first["attributes"]["messaging.system"] == "filesystem"


def test_a_notice_is_written_in_its_order_s_trace_by_the_asyncio_service(as_json: list[dict[str, Any]]) -> None:
    written = []
    for trace in as_json[:-1]:
        spans = {span["span_id"]: span for span in trace["spans"]}
        for span in spans.values():
            if span["name"] == "write to the customer":
                process = spans[span["parent_id"]]
                assert (process["name"], process["service"]) == ("process notices", "notices")
                assert spans[process["parent_id"]]["name"] == "send notices"
                (entry,) = (one for one in spans.values() if one["parent_id"] is None)
                assert span["attributes"]["shop.order"] == entry["attributes"]["shop.order"]
                written.append(span["attributes"]["shop.order"])
    assert len(written) == len({*written}) == 31


def test_the_requests_are_opentelemetry_s_spans_above_our_messages(as_json: list[dict[str, Any]]) -> None:
    pytest.importorskip("opentelemetry.sdk")
    requests = [span for trace in as_json[:-1] for span in trace["spans"] if span["kind"] == "server"]
    assert len(requests) == as_json[-1]["summary"]["spans_of_opentelemetry"] == 40
    for trace in as_json[:-1]:
        if trace["spans"][0]["kind"] == "server":
            request, sent = trace["spans"][:2]
            assert request["attributes"]["shop.traced_by"] == "opentelemetry"
            assert (request["service"], sent["name"]) == ("front", "send orders")
            assert sent["parent_id"] == request["span_id"]


def test_without_opentelemetry_the_requests_are_ours(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n")
    done = demo("--orders", "10", "--json", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    *traces, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert summary["summary"]["spans_of_opentelemetry"] == 0
    requests = [span for trace in traces for span in trace["spans"] if span["kind"] == "server"]
    assert [span for span in requests if "shop.traced_by" in span["attributes"]] == []
    assert len(requests) == 10


def test_refused_and_withdrawn_orders_are_seen(as_json: list[dict[str, Any]]) -> None:
    traces = as_json[:-1]
    refused = [trace for trace in traces if trace["errors"]]
    assert len(refused) == 4
    assert {span["error"] for trace in refused for span in trace["spans"]} == {
        None,
        "PaymentRefused: 990 is over the card's limit",
    }
    withdrawn = [trace for trace in traces if trace["spans"][0]["name"] == "DELETE /order"]
    assert len(withdrawn) == 4
    for trace in withdrawn:
        assert trace["spans"][2]["attributes"]["messaging.kafka.message.tombstone"] is True


def test_a_broken_trace_is_a_failure() -> None:
    done = demo("--orders", "10", OTEL_PROPAGATORS="none")
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    assert "a broken trace" in done.stdout
    assert "the context of what caused it was lost" in done.stdout


def test_no_traces_at_all_are_a_failure_too() -> None:
    done = demo("--orders", "10", "--json", OTEL_SDK_DISABLED="true")
    assert done.returncode == 1
    problems = json.loads(done.stdout.splitlines()[-1])["summary"]["problems"]
    assert problems == ["34 messages were sent, and 0 spans on the span topic say so"]


def test_runs_on_a_broker_that_is_there(embedded: Any) -> None:
    (broker,) = embedded.list_topics(timeout=10).brokers.values()
    done = demo("--bootstrap", f"{broker.host}:{broker.port}", "--json", "--orders", "10")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    traces = [json.loads(line) for line in done.stdout.splitlines()][:-1]
    destinations = {name for trace in traces for name in trace["destinations"]}
    assert all(name.startswith("demo-") for name in destinations - {"receipts"}), "nobody else's topics are touched"


def test_a_worker_that_loses_the_context_breaks_the_traces(tmp_path: Path) -> None:
    """The demo checks Celery's part too: here, its signals are taken away from the worker."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('demo.receipts' in argument for argument in sys.orig_argv):\n"
        "    import mqtrace.api\n"
        "    mqtrace.api.instrument_celery.__code__ = (lambda app=None, *, tracer=None, **options: None).__code__\n"
    )
    done = demo("--orders", "10", "--json", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    problems = json.loads(done.stdout.splitlines()[-1])["summary"]["problems"]
    assert any("'send shop.receipt'" in one and "nobody who processed the message" in one for one in problems)


@pytest.mark.parametrize(
    ("library", "sentence", "span"),
    [
        ("celery", "the receipts are left out, Celery is not installed", "shop.receipt"),
        ("aiokafka", "the notices are left out, aiokafka is not installed", "write to the customer"),
    ],
)
def test_without_a_library_its_part_is_left_out_and_says_so(
    tmp_path: Path, library: str, sentence: str, span: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {library!r} else found(name, *rest)\n"
    )
    done = demo("--orders", "10", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert f"{sentence}: pip install 'mqtrace[demo]'" in done.stdout
    assert span not in done.stdout


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("rabbit", "--amqp takes a URL: write amqp://guest:guest@localhost:5672/"),
        ("http://127.0.0.1/", "--amqp takes a URL: write amqp://guest:guest@localhost:5672/"),
        ("amqp://shop:secret@127.0.0.1:1/", "no RabbitMQ serves this user at 127.0.0.1:1"),
    ],
)
def test_a_rabbitmq_that_is_none_is_one_sentence(url: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--amqp", url, "--json"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "secret" not in error
    assert error.count("\n") == 1


def test_no_broker_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--bootstrap", "127.0.0.1:1", "--json"]) == 2
    error = capsys.readouterr().err
    assert "no Kafka broker answers at 127.0.0.1:1: start one, or leave --bootstrap out" in error
    assert error.count("\n") == 1


def test_too_little_time_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--timeout", "0.5", "--json"]) == 2
    assert "the demo took longer than 0.5 s" in capsys.readouterr().err


@pytest.mark.timeout(180)
def test_the_page_shows_what_it_saw_and_what_was_passed_over_until_ctrl_c() -> None:
    """Also where another page has the port."""
    from mqtrace.flow import Scope
    from mqtrace.flow.remote import RemoteSource

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else's page will do
            taken.bind(("127.0.0.1", 8765))
            taken.listen()
        command = [*COMMAND, "--orders", "80", "--json", "--ui"]
        running = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
        )
        try:
            assert running.stdout is not None
            lines = iter(running.stdout.readline, "")
            address = next(line for line in lines if line.startswith("http://127.0.0.1:"))
            source = RemoteSource(address.strip())
            assert {row["sent_to"] for row in source.flow(Scope())} >= {"orders", "payments"}
            assert source.map(Scope())["received"]
            assert "passed over" in {row["state"] for row in source.missing(Scope(), 0.001)}
            assert main(["missing", address.strip(), "--after", "0.001", "--json"]) == 1
        finally:
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=60)
        assert running.returncode == 0, err
        assert "Traceback" not in err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_and_no_file_is_left_behind(how: signal.Signals, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*COMMAND, "--orders", "5000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(TMPDIR=str(tmp_path)),
        cwd=ROOT,
    )
    try:
        watched = psutil.Process(running.pid)
        deadline = time.monotonic() + 20
        while len(children := watched.children(recursive=True)) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(children) >= 5, "the broker, the measurement, the consumers and the worker"
        time.sleep(0.5)
        running.send_signal(how)
        status = running.wait(20)
        assert status == (-how if how is signal.SIGKILL else 128 + how)
        assert psutil.wait_procs(children, timeout=15)[1] == []
        assert not list(tmp_path.iterdir()), "the folder that was Celery's broker"
        assert running.stderr is not None
        assert b"Traceback" not in running.stderr.read()
    finally:
        running.kill()
        running.communicate()
